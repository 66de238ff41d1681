import { createInterface } from 'node:readline';
import type { Vm } from '../../host/vm/index.js';
import type { Answer, Request, RunResult } from './protocol.js';

/** The demo's program (workload.ts) running in the guest. */
export class GuestProgram {
  readonly #process: ReturnType<Vm['spawn']>;
  readonly #answers: AsyncIterator<string, undefined>;
  #errors = '';

  constructor(vm: Vm, address: string, scale: 'full' | 'quick') {
    this.#process = vm.spawn(['node', '/opt/vamos/dist/bench/demo/workload.js', address, scale]);
    this.#process.stderr.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4000);
    });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  open(): Promise<Answer> {
    return this.#ask({ do: 'open' });
  }

  close(): Promise<Answer> {
    return this.#ask({ do: 'close' });
  }

  async run(phase: string): Promise<RunResult> {
    return (await this.#ask({ do: 'run', phase })) as RunResult;
  }

  /** Returns the checksum of what the operation left behind. */
  async verify(phase: string): Promise<string> {
    return (await this.#ask({ do: 'verify', phase })).checksum ?? '';
  }

  /** Ends the program in order. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    await this.#process.exited;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  async #ask(request: Request): Promise<Exclude<Answer, { error: string }>> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const next = await this.#answers.next();
    const what = 'phase' in request ? `${request.do} '${request.phase}'` : request.do;
    if (next.done) {
      const status = await this.#process.exited;
      throw new Error(
        `${what}: the program in the guest ended (${status.code ?? status.signal})\n${this.#errors}`,
      );
    }
    const answer = JSON.parse(next.value) as Answer;
    if (answer.error !== undefined) throw new Error(`${what}: ${answer.error}\n${this.#errors}`.trimEnd());
    return answer;
  }
}
