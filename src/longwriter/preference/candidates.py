"""Samples the SFT model's answers and scores them."""

from longwriter.core.errors import Aborted, BadCompletion, PromptRefused, SettingsError
from longwriter.core.rows import Candidate, Instruction, Prediction, check_ids
from longwriter.evaluation.judge import JudgePrompt, judge, quality_score
from longwriter.llm.answers import Completion
from longwriter.llm.client import SEED_STRIDE, ChatClient
from longwriter.llm.fanout import all_or_none
from longwriter.llm.sampling import first_ended
from longwriter.preference.settings import PairsSettings, ScoreWeights
from longwriter.text.lengths import length_score
from longwriter.text.plan_tags import split_plan
from longwriter.text.repetition import repeated_ngrams
from longwriter.text.words import count_words


async def sample_candidates(
    client: ChatClient, instructions: list[Instruction], settings: PairsSettings
) -> list[Candidate]:
    """Samples `settings.samples` answers to every instruction.

    Returns:
        Candidates in order of instruction and sample.

    Raises:
        DataError: two instructions have the same id.
        CallError: a call failed permanently; all were tried, and finished calls are in the cache.
    """

    async def one(instruction: Instruction, sample: int) -> Candidate:
        async def ask(number: int) -> Completion:
            return await client.complete(
                [{"role": "user", "content": instruction.prompt}],
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                sample=number,
            )

        unscored = None
        try:
            completion = await first_ended(ask, sample)
        except (Aborted, BadCompletion, PromptRefused) as error:
            completion = Completion("", "refused", 0, 0, 0)
            unscored = f"{type(error).__name__}: {error}"
        return Candidate(
            id=instruction.id,
            prompt=instruction.prompt,
            length=instruction.length,
            sample=sample,
            seed=settings.seed * SEED_STRIDE + sample,
            response=completion.text,
            response_length=count_words(split_plan(completion.text).text),
            finish_reason=completion.finish_reason,
            unscored=unscored,
        )

    check_ids(instructions)
    jobs = [one(i, sample) for i in instructions for sample in range(settings.samples)]
    return await all_or_none(jobs, "candidates")


async def judged(
    client: ChatClient, candidates: list[Candidate], prompt: JudgePrompt, repeats: int
) -> list[Candidate]:
    """Returns the candidates with S_q, or with the reason in `unscored` if the judge gave none.

    Empty answers are not sent to the judge, because they are never paired.

    Args:
        prompt, repeats: as for `evaluation.judge.judge`.

    Raises:
        TransientError: the server failed; finished grades are in the cache.
    """

    async def one(candidate: Candidate) -> Candidate:
        found = await judge(client, _as_prediction(candidate), prompt, repeats)
        grade = None if found.scores is None else quality_score(found.scores)
        return candidate.model_copy(update={"quality_score": grade, "unscored": found.unscored})

    asked = [c for c in candidates if split_plan(c.response).text.strip()]
    graded = {(c.id, c.sample): c for c in await all_or_none(list(map(one, asked)), "judge")}
    return [graded.get((c.id, c.sample), c) for c in candidates]


def _as_prediction(candidate: Candidate) -> Prediction:
    """Returns the candidate in the form that the judge takes.

    The judge is not told the length, so any value will do if the instruction asks for none.
    """
    return Prediction(
        prompt=candidate.prompt,
        type="",
        length=candidate.length or max(candidate.response_length, 1),
        response=split_plan(candidate.response).text,
        response_length=candidate.response_length,
        finish_reason=candidate.finish_reason,
    )


def scored(candidates: list[Candidate], weights: ScoreWeights) -> list[Candidate]:
    """Returns the candidates with their scores.

    A score is the weighted mean of S_l (if the instruction asks for a length) and S_q, minus the
    weighted percentage of repeated 8-grams. With a length, both weights 1 and no penalty, it is the
    paper's (S_l + S_q) / 2. A candidate that lacks a number needed for the score stays unscored.

    Raises:
        SettingsError: the weights of length and quality are both 0.

    Source: LongWriter (arXiv 2408.07055), section 4.2.
    """
    if not weights.length + weights.quality:
        raise SettingsError(
            "pairs.weights: length and quality are both 0, so nothing is scored; give one a weight "
            "in conf/pairs/"
        )
    return [_scored(candidate, weights) for candidate in candidates]


def _scored(candidate: Candidate, weights: ScoreWeights) -> Candidate:
    if not split_plan(candidate.response).text.strip():
        return candidate.model_copy(update={"unscored": candidate.unscored or "empty answer"})
    parts: list[tuple[float, float]] = []
    found: dict[str, float | str | None] = {}
    if weights.length and candidate.length:
        s_l = length_score(candidate.length, candidate.response_length)
        found["length_score"] = s_l
        parts.append((weights.length, s_l))
    if weights.quality and candidate.quality_score is None:
        return candidate.model_copy(update=found | {"unscored": candidate.unscored or "not judged"})
    if weights.quality:
        parts.append((weights.quality, candidate.quality_score or 0.0))
    if not parts:
        return candidate.model_copy(update={"unscored": "asks for no length"})
    penalty = 0.0
    if weights.repetition:
        share = repeated_ngrams(split_plan(candidate.response).text)
        found["repetition"] = share
        penalty = weights.repetition * 100 * share
    mean = sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)
    return candidate.model_copy(update=found | {"score": mean - penalty})
