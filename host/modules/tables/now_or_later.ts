/**
 * An answer that is there immediately, or later: an immediate answer is not made to wait for a turn of the
 * event loop.
 */
export type NowOrLater<Result> = Result | Promise<Result>;

/**
 * Passes the answer of a step on to `next`, immediately where the answer is there.
 * @param onFailure handles a failure of the step alone; it throws what the caller is to see
 */
export function goOn<Answer, Result>(
  step: () => NowOrLater<Answer>,
  onAnswer: (answer: Answer) => NowOrLater<Result>,
  onFailure?: (error: unknown) => never,
): NowOrLater<Result> {
  let answer: NowOrLater<Answer>;
  try {
    answer = step();
  } catch (error) {
    onFailure?.(error);
    throw error;
  }
  return answer instanceof Promise ? answer.then(onAnswer, onFailure) : onAnswer(answer);
}

/** Calls `after` when the step is over, however it ends. */
export function whenOver<Answer>(step: () => NowOrLater<Answer>, after: () => void): NowOrLater<Answer> {
  return goOn(
    step,
    (answer) => {
      after();
      return answer;
    },
    (error) => {
      after();
      throw error;
    },
  );
}
