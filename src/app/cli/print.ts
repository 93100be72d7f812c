/** What commands say on standard output, for people and as JSON. */

export function print(value: string): void {
  process.stdout.write(value.endsWith('\n') ? value : `${value}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}
