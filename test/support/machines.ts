/**
 * Machines of a test's own on this one: each has a network with an address, a monotonic clock and a start ("boot") of
 * its own, as hosts of a fleet have. A router in the middle joins them, and single ways through it can be cut like
 * cables: what is sent is lost, and neither end hears of it.
 *
 * They are namespaces of Linux without a name, each held by a process that waits for its standard input. They are gone
 * with that, also when whoever runs the test is killed; two runs at once do not meet.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { childrenOf } from './processes.ts';
import type { Host } from './server-process.ts';
import { until } from './test-server.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
/** How far apart the monotonic clocks of two machines are, seconds. */
const CLOCKS_APART_S = 100_000;
/** Of one machine: its end of the cable and the router's. */
const PREFIX = 30;

/** What the router drops: ways from one address to another, and all ways of machines without power. */
const ROUTER = `table ip cables {
  set cut { type ipv4_addr . ipv4_addr; }
  set dead { type ipv4_addr; }
  chain forward {
    type filter hook forward priority 0;
    ip saddr . ip daddr @cut drop
    ip saddr @dead drop
    ip daddr @dead drop
  }
}`;

/** A process that keeps namespaces alive, which are those of its only descendant where it has one. */
class Holder {
  readonly #process: ChildProcess;
  readonly #pid: number;

  /** @param script is run in the namespaces before they are ready */
  static async start(unshare: readonly string[], script: string): Promise<Holder> {
    const process_ = spawn('unshare', [...unshare, '--', 'sh', '-ec', `${script}\necho ready\nexec cat`], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    process_.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ready = once(process_.stdout, 'data');
    const ended = Promise.race([once(process_, 'exit'), once(process_, 'error')]).then(([why]) => {
      throw new Error(`namespaces cannot be made here: ${said.trim() || why}`);
    });
    ended.catch(() => {});
    await Promise.race([ready, ended]);
    return new Holder(process_, unshare.includes('--fork'));
  }

  private constructor(process_: ChildProcess, forks: boolean) {
    this.#process = process_;
    const { pid = 0 } = process_;
    this.#pid = forks ? (childrenOf(pid)[0] ?? pid) : pid;
  }

  get pid(): number {
    return this.#pid;
  }
  /** Of all processes that are there only to hold. */
  get pids(): number[] {
    return [this.#process.pid ?? 0, this.#pid];
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exited;
  }
}

export class Machine implements Host {
  readonly name: string;
  readonly address: string;
  readonly #holder: Holder;
  readonly #bootFile: string;
  readonly #power: (on: boolean) => void;

  /** @param power lets packets from and to it through the router, or loses them */
  constructor(of: { name: string; address: string; holder: Holder; bootFile: string; power: (on: boolean) => void }) {
    this.name = of.name;
    this.address = of.address;
    this.#holder = of.holder;
    this.#bootFile = of.bootFile;
    this.#power = of.power;
  }

  get enter(): [string, ...string[]] {
    return ['nsenter', `--target=${this.#holder.pid}`, '--net', '--mount', '--time', '--'];
  }

  /** All its processes stand still. */
  freeze(): void {
    this.#signal('SIGSTOP');
  }
  thaw(): void {
    this.#signal('SIGCONT');
  }

  /** Loses its power: not even the ends of connections reach anybody. Resolves once nothing runs there any more. */
  async crash(): Promise<void> {
    this.#power(false);
    this.freeze();
    this.#signal('SIGKILL');
    await until(`nothing runs on ${this.name}`, () => this.#pids().length === 0, 10_000);
  }
  /** Has power again, after a start of its own. */
  boot(): void {
    writeFileSync(this.#bootFile, `${randomUUID()}\n`);
    this.#power(true);
  }

  /** Ends what still runs there. */
  async close(): Promise<void> {
    this.#signal('SIGKILL');
    await until(`nothing runs on ${this.name}`, () => this.#pids().length === 0, 10_000);
    await this.#holder.close();
  }

  #signal(name: NodeJS.Signals): void {
    for (const pid of this.#pids())
      try {
        process.kill(pid, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
  }

  /** Of all that runs there. */
  #pids(): number[] {
    const network = networkOf(this.#holder.pid);
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.map(Number).filter((pid) => !this.#holder.pids.includes(pid) && networkOf(pid) === network);
  }
}

export class Machines {
  /** This machine's own address in their network: what runs in the test itself is reached here. */
  readonly address: string;
  readonly #router: Holder;
  readonly #dir = mkdtempSync(join(tmpdir(), 'aircheck-machines-'));
  readonly #network: string;
  readonly #machines: Machine[] = [];
  /** Its name in the network of the test itself. */
  readonly #cable = `ac${randomBytes(5).toString('hex')}`;

  /** Why machines cannot be made here, in words; undefined when they can. */
  static async refusal(): Promise<string | undefined> {
    if (process.getuid?.() !== 0) return 'namespaces need root';
    try {
      const machines = await Machines.open();
      try {
        await machines.add('trial');
      } finally {
        await machines.close();
      }
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  }

  /** Only the router. Rejects with an Error that says why namespaces cannot be made. */
  static async open(): Promise<Machines> {
    const router = await Holder.start(['--net', '--mount'], 'ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward');
    const machines = new Machines(router, freeNetwork());
    try {
      machines.#routed('nft', ['-f', '-'], ROUTER);
      machines.#wire('this', process.pid, machines.#cable);
      run('ip', ['route', 'add', `${machines.#network}.0/24`, 'via', machines.#addressOf(0).router]);
    } catch (error) {
      await machines.close();
      throw error;
    }
    return machines;
  }

  private constructor(router: Holder, network: string) {
    this.#router = router;
    this.#network = network;
    this.address = this.#addressOf(0).own;
  }

  async add(name: string): Promise<Machine> {
    const n = this.#machines.length + 1;
    const bootFile = join(this.#dir, `boot-${n}`);
    writeFileSync(bootFile, `${randomUUID()}\n`);
    const clocks = ['--time', '--monotonic', String(n * CLOCKS_APART_S), '--boottime', String(n * CLOCKS_APART_S)];
    const holder = await Holder.start(
      ['--net', '--mount', ...clocks, '--fork', '--kill-child'],
      `ip link set lo up; mount --bind ${bootFile} ${BOOT_ID}`,
    );
    const { own: address } = this.#addressOf(n);
    const power = (on: boolean) => this.#set(on ? 'delete' : 'add', 'dead', address);
    const machine = new Machine({ name, address, holder, bootFile, power });
    this.#machines.push(machine);
    this.#wire(name, holder.pid, 'eth0', machine);
    return machine;
  }

  /** From now on whatever one sends to the other is lost, in both directions. */
  cut(one: Machine, ...others: Machine[]): void {
    for (const other of others) this.#set('add', 'cut', ...ways(one, other));
  }
  mend(one: Machine, ...others: Machine[]): void {
    for (const other of others) this.#set('delete', 'cut', ...ways(one, other));
  }

  /** Ends all that runs there, and leaves nothing behind. */
  async close(): Promise<void> {
    for (const machine of this.#machines) await machine.close();
    // The network goes with its last process, but not at once.
    spawnSync('ip', ['link', 'delete', this.#cable]);
    await this.#router.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Lays a cable from the router to a process's network, where its end gets this name. */
  #wire(name: string, pid: number, end: string, machine?: Machine): void {
    const n = machine ? this.#machines.indexOf(machine) + 1 : 0;
    const { own, router } = this.#addressOf(n);
    this.#routed('ip', ['link', 'add', `m${n}`, 'type', 'veth', 'peer', 'name', end, 'netns', String(pid)]);
    this.#routed('ip', ['addr', 'add', `${router}/${PREFIX}`, 'dev', `m${n}`]);
    this.#routed('ip', ['link', 'set', `m${n}`, 'up', 'alias', name]);
    const [program, ...args] = machine?.enter ?? ['env'];
    const there = (...command: string[]) => run(program as string, [...args, 'ip', ...command]);
    there('addr', 'add', `${own}/${PREFIX}`, 'dev', end);
    there('link', 'set', end, 'up');
    if (machine) there('route', 'add', 'default', 'via', router);
  }

  #addressOf(n: number): { own: string; router: string } {
    return { router: `${this.#network}.${4 * n + 1}`, own: `${this.#network}.${4 * n + 2}` };
  }

  #set(does: 'add' | 'delete', set: string, ...elements: string[]): void {
    this.#routed('nft', [does, 'element', 'ip', 'cables', set, `{ ${elements.join(', ')} }`]);
  }

  #routed(program: string, args: string[], input = ''): void {
    run('nsenter', [`--target=${this.#router.pid}`, '--net', '--mount', '--', program, ...args], input);
  }
}

function ways(one: Machine, other: Machine): string[] {
  return [`${one.address} . ${other.address}`, `${other.address} . ${one.address}`];
}

/** The first three numbers of 256 addresses that this machine uses none of. */
function freeNetwork(): string {
  const used = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
  for (;;) {
    const network = `10.${randomInt(64, 256)}.${randomInt(256)}`;
    if (!used.some((address) => address.startsWith(`${network}.`))) return network;
  }
}

function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined; // ended while we looked
  }
}

/** Throws an Error that holds its last words when it does not end well. */
function run(program: string, args: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
