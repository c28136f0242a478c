"""`vllm-quality alert`: look at a release's card before anybody gets it, and try the channel."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vllm_quality.errors import UserError

if TYPE_CHECKING:
    from vllm_quality.alerts.notice import RunNotice
    from vllm_quality.settings import Settings


class NothingStoredError(UserError):
    """There is no evaluation to make a card of."""


@click.group("alert")
def alert() -> None:
    """Cards for Teams: look at one, try the channel."""


@alert.command("preview")
@click.argument("tag")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the files.  [default: this one]",
)
def preview(tag: str, out: Path) -> int:
    """Write the card of TAG's last evaluation: JSON, an HTML page, and a PNG where a Chromium is installed.

    Nothing is sent. The page shows the card light, dark and on a phone.
    """
    from vllm_quality.alerts.browser import find_browser, take_picture
    from vllm_quality.alerts.card import build_card
    from vllm_quality.alerts.elements import MAX_BYTES, encode
    from vllm_quality.alerts.preview import render_page
    from vllm_quality.settings import load_settings

    settings = load_settings()
    card = build_card(last_notice(settings, tag), settings.teams_mentions)
    page, stem = render_page(card), f"card-{tag}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{stem}.json").write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        (out / f"{stem}.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another folder with --out.") from None
    click.echo(f"{out / stem}.json: {len(encode(card)):,} of {MAX_BYTES:,} bytes")
    click.echo(f"{out / stem}.html")
    browser = find_browser()
    if browser is None:
        click.echo("No picture: no Chromium is installed.")
        return 0
    take_picture(browser, page, out / f"{stem}.png")
    click.echo(f"{out / stem}.png")
    return 0


@alert.command("test")
@click.option("--mention", is_flag=True, help="Call those of VLLM_QUALITY_TEAMS_MENTIONS, too.")
def test(mention: bool) -> int:
    """Send a harmless card and say what the endpoint answered.

    \b
    Exit codes:
      0  the endpoint took the card; whether it was posted shows in the channel
      2  it did not, or no channel is set
    """
    from vllm_quality.alerts.delivery import open_sender
    from vllm_quality.alerts.small_cards import trial_card
    from vllm_quality.settings import load_settings

    settings = load_settings()
    if settings.teams_webhook is None:
        raise UserError("No channel is set; set VLLM_QUALITY_TEAMS_WEBHOOK to the URL of the Teams workflow.")
    sender = open_sender(settings)
    answer = sender.send(trial_card(sender.channel, settings.teams_mentions if mention else ()), name="test")
    click.echo(f"Taken: {answer}. Teams does not tell whether it was posted; look into the channel.")
    return 0


def last_notice(settings: "Settings", tag: str) -> "RunNotice":
    """What there is to say of a tag's last evaluation: of Dagster's last run here, else of the results store's.

    Raises `NothingStoredError` when neither knows the tag.
    """
    from vllm_quality.alerts.sensors import last_run_notice
    from vllm_quality.alerts.stored import stored_notice

    notice = last_run_notice(settings, tag) or stored_notice(settings, tag)
    if notice is None:
        raise NothingStoredError(f"{tag} was never evaluated here; `vllm-quality evaluate {tag}` does so.")
    return notice
