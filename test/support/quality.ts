/**
 * Quality reports for tests of what becomes of them.
 */
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import { QualityCollector } from '../../src/pipeline/report/quality-collector.ts';

/** The report of a recording of one user who came and has sent nothing yet. */
export function qualityOf(sid: string, endReason?: string): QualityReport {
  const collector = new QualityCollector({ sid, mode: 'mix', zeroUtcMs: 1_800_000_000_000 });
  collector.onJoined('7', 250_000);
  return collector.report({ atUs: 5_000_000, lagUs: 0, machine: undefined }, endReason);
}
