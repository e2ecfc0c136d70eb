"""Compares tokens/s of stage `predict` with `generate` one by one, as in the paper's pred.py.

    python stages/base.py hydra.run.dir=/tmp/base
    python benchmarks/predict.py /tmp/base/models/base [--prompts 24] [--tokens 768]

Both answer the benchmark's first prompts with the same checkpoint, temperature and token limit.
Ours is what the stage `predict` does, with an empty cache; the time includes the conversion of the
checkpoint to GGUF and the server's start. `generate` runs in the checkpoint's own dtype, or in
bfloat16 with --bfloat16; its time excludes loading the model. Because it is slow, it answers only
every `--every`-th prompt.
"""

import argparse
import tempfile
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.config.schema import Settings
from longwriter.core.rows import BenchmarkPrompt
from longwriter.evaluation.benchmark import chosen_benchmark
from longwriter.evaluation.predict import predict
from longwriter.llm.session import CallContext
from longwriter.models.serving import with_student

CHECKOUT = Path(__file__).resolve().parent.parent


def ours(settings: Settings, checkpoint: Path, prompts: list[BenchmarkPrompt]) -> tuple[int, float]:
    """Returns tokens written and the seconds taken, start and conversion included."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        _, spent = with_student(
            lambda client: predict(client, prompts),
            checkpoint,
            settings.student,
            CallContext(Path(cache), seed=0, threads=None),
        )
    return int(spent["completion_tokens"]), time.perf_counter() - start


def one_by_one(
    settings: Settings, checkpoint: Path, prompts: list[BenchmarkPrompt], bfloat16: bool
) -> tuple[int, float]:
    """Returns the same for `transformers`, one prompt at a time, without the loading time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    dtype = torch.bfloat16 if bfloat16 else "auto"
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=dtype).eval()
    tokens, start = 0, time.perf_counter()
    for prompt in prompts:
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt.prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=settings.student.server.max_tokens,
                do_sample=True,
                temperature=settings.student.server.temperature,
                top_k=0,
                num_beams=1,
            )
        tokens += output.shape[1] - inputs["input_ids"].shape[1]
    return tokens, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, help="a Hugging Face folder")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--every", type=int, default=8, help="generate answers each n-th prompt")
    parser.add_argument("--bfloat16", action="store_true", help="of generate")
    parser.add_argument(
        "--tokens", type=int, help="limit of both; default: student.server.max_tokens"
    )
    options = parser.parse_args()
    config = OmegaConf.create(compose_params(CHECKOUT))
    assert isinstance(config, DictConfig)
    settings = validate(config)
    server = settings.student.server
    server.max_tokens = options.tokens or server.max_tokens
    prompts = chosen_benchmark(settings.predict, settings.bench, CHECKOUT)[: options.prompts]

    few = prompts[:: options.every]
    first = told("our path", len(prompts), *ours(settings, options.checkpoint, prompts))
    found = one_by_one(settings, options.checkpoint, few, options.bfloat16)
    second = told("generate, one by one", len(few), *found)
    print(f"ratio: {first / second:.2f}")


def told(name: str, prompts: int, tokens: int, seconds: float) -> float:
    """Prints a measurement and returns its tokens/s."""
    rate = tokens / seconds
    print(
        f"{name}: {prompts} prompts, {tokens:,} tokens in {seconds:.1f} s: {rate:.1f} tokens/s",
        flush=True,
    )
    return rate


if __name__ == "__main__":
    main()
