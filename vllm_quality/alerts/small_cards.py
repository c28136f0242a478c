"""Cards about something else than a run: a tag that was moved, and a trial of the channel."""

from typing import Any

from vllm_quality.alerts.elements import facts, header, message
from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.mentions import Mentions, checked, entities, mention_line
from vllm_quality.report.units import short_hash

_MOST_MENTIONS = 20


def retag_card(tag: str, before: str, digest: str, image: str, mentions: Mentions = ()) -> dict[str, Any]:
    """A known tag points to another image now: what was measured under it is of the image before.

    before  the first digits of the digest that it pointed to
    """
    called = checked(mentions)
    title = f"? {plain(tag, 128)} was moved to another image"
    body = [
        header(
            title, ["Results under this tag are those of the image before. The new one was not evaluated."], "warning"
        ),
        *mention_line(called, _MOST_MENTIONS),
        facts(
            (
                ("Image", plain(image, 200)),
                ("Before", f"sha256:{plain(before[:12], 20)}"),
                ("Now", plain(short_hash(digest), 100)),
                (
                    "Do next",
                    "If it was on purpose, launch evaluate\\_release for this tag in Dagster; "
                    "VLLM\\_QUALITY\\_ON\\_RETAG=evaluate does so by itself.",
                ),
            )
        ),
    ]
    return message(title, body, entities=entities(called, _MOST_MENTIONS))


def trial_card(channel: str, mentions: Mentions = ()) -> dict[str, Any]:
    """A harmless card that shows that cards arrive, and whether the mentions reach those who are meant."""
    called = checked(mentions)
    title = "✓ This is a test of vllm-quality's alerts"
    lead = ["Nothing happened to any release. If you can read this, cards arrive in this channel."]
    body = [
        header(title, lead, "good"),
        *mention_line(called, _MOST_MENTIONS),
        facts((("Sent by", "vllm-quality alert test"), ("Channel", plain(channel, 100)))),
    ]
    return message(title, body, entities=entities(called, _MOST_MENTIONS))
