"""The mirror of benchmark data over each kind of object store."""

from vllm_quality.eval.dataset_source import DatasetRequest
from vllm_quality.eval.mirror import Mirror
from vllm_quality.results.objects import ObjectStore


def test_a_bucket_is_as_good_a_mirror_as_a_folder(objects: ObjectStore) -> None:
    from datasets import Dataset

    rows, request = [{"text": f"글 {number}"} for number in range(4)], DatasetRequest("team/quiz", "한국어")
    mirror = Mirror(objects)
    assert mirror.latest(request) is None
    assert mirror.publish(request, {"test": Dataset.from_list(rows[:3])}).number == 1
    assert mirror.publish(request, {"test": Dataset.from_list(rows)}).number == 2
    assert not mirror.publish(request, {"test": Dataset.from_list(rows)}).is_new
    newest = mirror.latest(request)
    assert newest is not None
    assert list(mirror.read(newest.manifest.splits["test"], "test")) == rows
