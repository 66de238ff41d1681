import type { RowDataPacket } from 'mysql2/promise';
import { processCpuMs } from '../../host/vm/host_cpu.js';
import type { MariadbServer } from '../../lab/mariadb/server.js';

/** What some work cost beside time. */
export interface Costs {
  /** CPU time of mariadbd, user and system. */
  serverMs: number;
  /** CPU time of the host's worker; 0: there is none. */
  workerMs: number;
  /** Requests over the channel. */
  requests: number;
  frames: number;
}

/** Reads what a server and its host have cost so far, before and after. */
export class CostMeter {
  constructor(private readonly server: MariadbServer) {}

  async measure<Result>(work: () => Promise<Result>): Promise<{ result: Result; costs: Costs }> {
    const before = await this.#read();
    const result = await work();
    const after = await this.#read();
    const costs = {
      serverMs: after.serverMs - before.serverMs,
      workerMs: after.workerMs - before.workerMs,
      requests: after.requests - before.requests,
      frames: after.frames - before.frames,
    };
    return { result, costs };
  }

  async #read(): Promise<Costs> {
    const { server } = this;
    const worker = await server.host?.workerPid();
    const rows = await server.query<RowDataPacket[]>(
      "SHOW GLOBAL STATUS WHERE Variable_name IN ('Vamos_requests', 'Vamos_frames')",
    );
    const status = new Map(rows.map((row) => [String(row.Variable_name), Number(row.Value)]));
    return {
      serverMs: await processCpuMs(server.pid),
      workerMs: worker === undefined ? 0 : await processCpuMs(worker),
      requests: status.get('Vamos_requests') ?? 0,
      frames: status.get('Vamos_frames') ?? 0,
    };
  }
}
