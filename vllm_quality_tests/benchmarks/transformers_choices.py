"""Which choice transformers finds likeliest, in float32. Runs in vLLM's environment, which has torch; imports nothing of ours.

    python transformers_choices.py MODEL_FOLDER < items.jsonl > choices.jsonl

An item is {"context": text, "continuations": [text, …]}; its answer is the list of their loglikelihoods. Texts are split
into tokens as lm-eval's `hf` model does it: the context's tokens, by number, are cut off those of the whole.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder: str) -> None:
    """Read items, write likelihoods, a line each."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for line in sys.stdin:
        item = json.loads(line)
        found = [loglikelihood(model, tokenizer, item["context"], text) for text in item["continuations"]]
        print(json.dumps(found), flush=True)


@torch.inference_mode()
def loglikelihood(model, tokenizer, context, continuation):  # type: ignore[no-untyped-def]
    """The sum over the continuation's tokens."""
    kept = context.rstrip()
    continuation = context[len(kept) :] + continuation
    whole = tokenizer(kept + continuation).input_ids
    border = len(tokenizer(kept).input_ids)
    logits = model(torch.tensor([whole])).logits[0, :-1].double()
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(whole[1:]).unsqueeze(1)).squeeze(1)
    return chosen[border - 1 :].sum().item()


if __name__ == "__main__":
    main(sys.argv[1])
