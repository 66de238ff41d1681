/** More sessions than a guest's connectors have; a guest that begins more makes the host forget its own. */
const MAX_SESSIONS = 16_384;

/** Keeps the stamp of each ended session's last request frame, by which a connector that comes back is judged. */
export class LastStamps {
  /** Sessions in the order in which they ended. */
  readonly #bySession = new Map<string, number>();

  /** @param stamp the last one of the session; 0: its connector gave none */
  remember(session: string, stamp: number): void {
    if (stamp === 0) return;
    this.#bySession.delete(session);
    this.#bySession.set(session, stamp);
    if (this.#bySession.size > MAX_SESSIONS) this.#bySession.delete(this.#bySession.keys().next().value!);
  }

  /** Returns the stamp, or 0 where none is known. */
  of(session: string): number {
    return this.#bySession.get(session) ?? 0;
  }
}
