"""A checkout of Evalchemy, as far as a caller can tell: its command line, what it asks, what it writes, how it fails."""

import sys
from pathlib import Path

from vllm_quality.eval.evalchemy_checkout import Checkout

# One branch for each way in which the real one (eval/eval.py, commit 6ed6741) ends.
EVAL = """
import argparse, json, os, subprocess, sys, time, urllib.request
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("model", "model_args", "tasks", "batch_size", "num_fewshot", "limit", "output_path", "annotator_model"):
    parser.add_argument("--" + name)
parser.add_argument("--apply_chat_template", nargs="?", const=True, default=False)
parser.add_argument("--debug", action="store_true")
args = parser.parse_args()
model = dict(part.split("=", 1) for part in args.model_args.split(","))
print("Selected Tasks:", [args.tasks], flush=True)


def ask(text):
    body = {"model": model["model"], "messages": [{"role": "user", "content": text}], "max_tokens": 32768, "seed": 0}
    request = urllib.request.Request(model["base_url"], json.dumps(body).encode(), {
        "Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    with urllib.request.urlopen(request, timeout=float(model["timeout"])) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


results = {}
if args.tasks == "AIME24":
    problems = json.loads(Path("eval/chat_benchmarks/AIME24/data/aime24.json").read_text())
    examples = [{**row, "model_outputs": [ask(row["problem"])] * 2} for row in problems[: 2 if args.debug else None]]
    results = {"examples": examples, "num_total": len(examples), "solved_avg": 1.5, "accuracy_avg": 0.75,
               "accuracy_std_err": 0.1, "num_repeat": 2, "run_stats": [{"repetition": 1, "accuracy": 0.75}]}
elif args.tasks == "LiveCodeBench":
    results = {"accuracy": 0.5, "per_difficulty_correct": {"easy": 1}, "examples": [
        {"content": "print(1)", "difficulty": "easy", "correctness": True},
        {"content": "", "difficulty": "hard", "correctness": False}]}
elif args.tasks == "HumanEval":
    results = {"python": {"pass@1": 0.25}, "benchmark_version": "humaneval"}
elif args.tasks == "MTBench":
    results = {"score": 7.5, "judge": [args.annotator_model, os.environ["OPENAI_BASE_URL"]]}
elif args.tasks == "hellaswag":
    results = {"alias": "hellaswag", "acc,none": 0.4, "acc_stderr,none": 0.05}
elif args.tasks == "arc_easy":
    print("2026-11-22 ERROR Error in pretrain evaluation: 'NoneType' object is not subscriptable", flush=True)
elif args.tasks == "MATH500":
    print("Traceback (most recent call last):\\n  File 'eval.py'\\nAttributeError: no attribute 'model_args'", flush=True)
    print("the key is " + os.environ["OPENAI_API_KEY"], flush=True)
    sys.exit(1)
elif args.tasks == "MBPP":
    results = {"error": "no such file: mbpp.jsonl"}
elif args.tasks == "IFEval":
    results = {"benchmark_version": "ifeval"}
elif args.tasks == "SWEbench":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(args.output_path).parent.joinpath("pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)
if args.tasks != "RepoBench":
    folder = Path(args.output_path) / model["model"]
    folder.mkdir(parents=True)
    stored = {"results": {args.tasks: results} if results else {}, "config": vars(args), "seen": sorted(os.environ)}
    folder.joinpath("results_2026-11-22T07-00-00.json").write_text(json.dumps(stored))
    Path("seen.json").write_text(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
"""

PROBLEMS = '[{"id": 60, "problem": "1 + 1 =", "expected_answer": "2"}, {"id": 61, "problem": "2 + 2 =", "expected_answer": "4"}, {"id": 62, "problem": "3 + 3 =", "expected_answer": "6"}]'


def make_checkout(folder: Path) -> Checkout:
    """The files of a checkout, run by this Python."""
    for benchmark in ("AIME24", "MTBench"):
        (folder / "eval" / "chat_benchmarks" / benchmark / "data").mkdir(parents=True)
    (folder / "eval" / "__init__.py").touch()
    (folder / "eval" / "eval.py").write_text(EVAL, encoding="utf-8")
    benchmarks = folder / "eval" / "chat_benchmarks"
    (benchmarks / "AIME24" / "data" / "aime24.json").write_text(PROBLEMS, encoding="utf-8")
    (benchmarks / "AIME24" / "eval_instruct.py").write_text("class AIME24Benchmark: ...\n", encoding="utf-8")
    (benchmarks / "MTBench" / "eval_instruct.py").write_text("def __init__(self, annotator_model): ...\n", "utf-8")
    return Checkout(folder, Path(sys.executable))
