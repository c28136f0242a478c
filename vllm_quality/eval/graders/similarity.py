"""How alike two texts are, between 0 and 1, by the metrics of OpenAI's text_similarity grader.

fuzzy_match  rapidfuzz' WRatio, the one that OpenAI's guide shows
bleu         sacrebleu's sentence BLEU (13a tokens, exponential smoothing, effective order)
gleu         Google's sentence BLEU: the smaller of precision and recall over 1- to 4-grams (Wu et al. 2016)
meteor       nltk's METEOR with exact and stem matches; its synonyms need WordNet, which is not there
rouge_N      F1 over N-grams; rouge_l: over the longest common subsequence (Lin 2004)
cosine       of embeddings; asked of an endpoint, not here

OpenAI does not publish its own code, so scores may differ from the hosted ones in the second decimal.
"""

from collections.abc import Callable, Mapping

from vllm_quality.eval.graders.words import ngrams, spaced, tokens


class _NoSynonyms:
    def synsets(self, word: str) -> list[object]:  # noqa: ARG002  # nltk's interface
        return []


def fuzzy_match(text: str, reference: str) -> float:
    """Best of several edit-distance ratios."""
    from rapidfuzz import fuzz

    return fuzz.WRatio(text, reference) / 100


def bleu(text: str, reference: str) -> float:
    """Sentence BLEU."""
    from sacrebleu import sentence_bleu

    return min(float(sentence_bleu(spaced(text), [spaced(reference)]).score) / 100, 1.0)


def gleu(text: str, reference: str) -> float:
    """Sentence GLEU."""
    words, wanted = tokens(text), tokens(reference)
    sizes = range(1, 5)
    shared = sum((ngrams(words, size) & ngrams(wanted, size)).total() for size in sizes)
    most = max(sum(max(len(each) - size + 1, 0) for size in sizes) for each in (words, wanted))
    return shared / most if most else 0.0


def meteor(text: str, reference: str) -> float:
    """METEOR by exact words and stems."""
    from nltk.stem.porter import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    words, wanted = tokens(text), tokens(reference)
    if not words or not wanted:
        return 0.0
    return float(single_meteor_score(wanted, words, stemmer=PorterStemmer(), wordnet=_NoSynonyms()))


def rouge(text: str, reference: str, size: int) -> float:
    """F1 of shared N-grams."""
    found, wanted = ngrams(tokens(text), size), ngrams(tokens(reference), size)
    return _f1((found & wanted).total(), found.total(), wanted.total())


def rouge_recall(text: str, reference: str) -> float:
    """The share of the reference's words that are in the text: Promptfoo's rouge-n."""
    found, wanted = ngrams(tokens(text), 1), ngrams(tokens(reference), 1)
    return (found & wanted).total() / wanted.total() if wanted else 0.0


def rouge_l(text: str, reference: str) -> float:
    """F1 of the longest common subsequence."""
    from rapidfuzz.distance import LCSseq

    words, wanted = tokens(text), tokens(reference)
    return _f1(LCSseq.similarity(words, wanted), len(words), len(wanted))


def _f1(shared: int, found: int, wanted: int) -> float:
    return 2 * shared / (found + wanted) if shared else 0.0


def _rouge_of(size: int) -> Callable[[str, str], float]:
    return lambda text, reference: rouge(text, reference, size)


METRICS: Mapping[str, Callable[[str, str], float]] = {
    "fuzzy_match": fuzzy_match,
    "bleu": bleu,
    "gleu": gleu,
    "meteor": meteor,
    **{f"rouge_{size}": _rouge_of(size) for size in range(1, 6)},
    "rouge_1_recall": rouge_recall,
    "rouge_l": rouge_l,
}


def similarity(metric: str, text: str, reference: str) -> float:
    """How alike the texts are; two empty texts are alike."""
    if not text.strip() and not reference.strip():
        return 1.0
    return METRICS[metric](text, reference)
