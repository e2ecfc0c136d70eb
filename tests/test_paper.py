"""A dress rehearsal of `+experiment=paper`: its settings, its runtime and its servers, in miniature."""

import json
import os
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.checkouts import copy_checkout, stage_environment
from helpers.checkpoints import packaged_tokenizer, write_tiny
from helpers.loopback import ChatServer, Request

VLLM = '''#!{python}
"""Stands in for vLLM: says 100 to 400 words, as the request's seed has it."""
import argparse, json, random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        luck = random.Random(str(asked["messages"]) + str(asked["seed"]))
        text = " ".join(luck.choice({words!r}) for _ in range(luck.randint(100, 400))) + "."
        choice = {{"index": 0, "message": {{"role": "assistant", "content": text}}, "finish_reason": "stop"}}
        usage = {{"prompt_tokens": 10, "completion_tokens": len(text.split())}}
        self.answer({{"model": asked["model"], "choices": [choice], "usage": usage}})

    def answer(self, body):
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass

parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
options, others = parser.parse_known_args()
assert others[others.index("--data-parallel-size") + 1] == "8"
ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()
'''
WORDS = [
    "the",
    "river",
    "carries",
    "light",
    "past",
    "stone",
    "walls",
    "and",
    "quiet",
    "gardens",
    "while",
    "people",
    "bring",
    "bread",
    "water",
    "fire",
    "letters",
    "boats",
    "lamps",
    "maps",
    "songs",
    "and",
    "old",
    "stories",
    "from",
    "hills",
    "to",
    "harbour",
    "every",
    "morning",
    "before",
    "rain",
]
THINGS = ["tea", "a mill", "the ferry", "an orchard", "a clock", "a harbour", "a bakery", "a loom"]


def speak(request: Request) -> str:
    """Plans, writes and grades as it is asked to, with its words drawn by what it is asked."""
    asked = str(request["messages"][-1]["content"])
    luck = random.Random(str(request["messages"]) + str(request.get("seed")))
    if found := re.search(r"Plan (\d+) paragraph", asked):
        steps = range(1, int(found[1]) + 1)
        plan = [{"main_point": f"What part {n} tells of it.", "word_count": 200} for n in steps]
        return json.dumps({"plan": plan})
    if "response_format" in request:
        schema = request["response_format"]["json_schema"]["schema"]
        return json.dumps({name: luck.randint(1, 5) for name in schema["properties"]})
    found = re.search(r"about (\d+) words\. Its point: ", asked)
    number = int(found[1]) if found else 12
    sentences = []
    while number > 0:
        words = [luck.choice(WORDS) for _ in range(min(number, luck.randint(7, 14)))]
        sentences.append(" ".join(words).capitalize() + ".")
        number -= len(words)
    return " ".join(sentences)


def rows(length: int, things: list[str]) -> str:
    made = [
        {
            "id": thing,
            "prompt": f"Write {length} words about {thing}.",
            "length": length,
            "type": "Other",
        }
        for thing in things
    ]
    return "".join(json.dumps(row) + "\n" for row in made)


@pytest.mark.slow
def test_the_paper_s_experiment_runs(
    tmp_path: Path, chat_server: Callable[[Callable[[Request], str]], ChatServer]
) -> None:
    root, server = tmp_path / "checkout", chat_server(speak)
    copy_checkout(root)
    student = write_tiny(tmp_path / "llama", packaged_tokenizer())
    config = json.loads((student / "config.json").read_bytes())
    (student / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 32_768}))
    vllm = tmp_path / "vllm"
    vllm.write_text(textwrap.dedent(VLLM).format(python=sys.executable, words=WORDS))
    vllm.chmod(0o755)
    (root / "data/asked.jsonl").write_text(rows(400, THINGS[:4]))
    (root / "data/paired.jsonl").write_text(rows(200, THINGS[4:7]))
    (root / "data/measured.jsonl").write_text(rows(300, THINGS[7:]))
    own: dict[str, Any] = {
        "student.checkpoint": student,
        "student.revision": "null",
        "student.eos_token": "null",
        "student.server.vllm.executable": vllm,
        "teacher.base_url": server.base_url,
        "judge.base_url": server.base_url,
        "teacher.price_prompt": 1,
        "teacher.price_completion": 8,
        "runtime.accelerate.num_processes": 2,
        "runtime.accelerate.use_cpu": "true",
        "runtime.accelerate.mixed_precision": "'no'",
        "runtime.system_metrics": "false",
        "agentwrite.instructions": root / "data/asked.jsonl",
        "agentwrite.revision": "null",
        "agentwrite.select.per_language": "null",
        "agentwrite.select.screen_with_teacher": "null",
        "agentwrite.max_cost": 1,
        "filter.min_words": 100,
        "filter.validation_rows": 1,
        "filter.min_compression": 0,
        "sft.num_train_epochs": 1,
        "pairs.instructions": "data/paired.jsonl",
        "pairs.validation_fraction": 0.4,
        "dpo.gradient_accumulation_steps": 1,
        "bench.path": "data/measured.jsonl",
        "bench.sha256": "null",
        "judge_audit.probes": 1,
    }
    environment = stage_environment(root, tmp_path) | {"OPENAI_API_KEY": "sk-rehearsal"}
    for command in ("add --all", "commit --quiet --message all"):
        subprocess.run(["git", *command.split()], cwd=root, env=environment, check=True)
    command = [sys.executable, "-m", "dvc", "exp", "run", "-S", "+experiment=paper"]
    command += [word for name, value in own.items() for word in ("-S", f"{name}={value}")]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    for name in ("base", "sft", "dpo"):
        assert (root / f"models/{name}/model.safetensors").is_file()
        found = json.loads((root / f"metrics/eval/{name}.json").read_bytes())
        assert found["S_l"] is not None
        assert found["S_q"] is not None
    sft = json.loads((root / "metrics/sft.json").read_bytes())
    assert sft["rows"] == 11  # 4 drafts but one set aside, 8 short answers
    assert (root / "reports/index.html").is_file()
    everything = subprocess.run(
        ["grep", "-rl", "sk-rehearsal", str(root), str(tmp_path / "cache")], capture_output=True
    )
    assert not everything.stdout
    assert os.environ.get("OPENAI_API_KEY") != "sk-rehearsal"
