/** An answer that is there at once, or later: what is there at once is not made to wait for a turn of the event loop. */
export type NowOrLater<Result> = Result | Promise<Result>;

/**
 * Goes on with what a step answers.
 * @param onFailure of the step alone; throws what the caller is to see
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
