/**
 * Settings of metrics and traces.
 */
import { setting, text, urlText, whole, wholeWords } from './setting.ts';

export const observeSettings = {
  metricsPort: setting(whole(0, 65535, 0), {
    description:
      'Port that serves `/metrics` alone, to everybody who reaches it: for a Prometheus in a private network. 0 opens none; `/metrics` of `port` has the same for customers.',
    allowed: wholeWords(0, 65535),
  }),
  metricsHost: setting(text().min(1).default('127.0.0.1'), {
    description: 'Address that metricsPort listens on.',
    allowed: 'a host name or IP address',
  }),
  tracesUrl: setting(urlText().default(''), {
    description:
      'Where OpenTelemetry traces of REST calls and recordings are posted (OTLP over HTTP, JSON), the whole address: mostly `http://<collector>:4318/v1/traces`. Empty traces nothing.',
    allowed: 'an http:// or https:// address',
    otherwise: 'none',
  }),
  tracesAuthorization: setting(text().default(''), {
    description: 'The Authorization header that traces are posted with.',
    allowed: 'the value of the header, such as `Bearer …`',
    otherwise: 'none',
    secret: true,
  }),
};
