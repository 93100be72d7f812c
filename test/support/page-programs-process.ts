/**
 * A process that starts a screen and a speaker in the folder it is given, tells their sockets, and then waits.
 */
import { systemClock } from '../../src/kernel/clock.ts';
import { findPrograms } from '../../src/stages/source/page/programs.ts';
import { startScreen } from '../../src/stages/source/page/screen.ts';
import { startSpeaker } from '../../src/stages/source/page/speaker.ts';

const [, , dir = ''] = process.argv;
const common = { programs: findPrograms(), user: undefined, dir };
const screen = await startScreen({ ...common, width: 640, height: 360 });
const speaker = await startSpeaker({ ...common, clock: systemClock, onSound() {} });
process.send?.([screen.socket, speaker.socket]);
