"""From the bytes of an OpenAI-compatible stream to its tokens and their times. Pure, and off the clock.

Nearly all events of a stream differ in their text and counts only, and are read by a template; see `template`. What does
not fit it is parsed as JSON, event by event. Runs of reads that hold one such event each cost a tenth of that.
"""

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice

from vllm_quality.load.wire.chunks import Unframer
from vllm_quality.load.wire.content import Content, output_of, parse_object, take_usage
from vllm_quality.load.wire.sse import BOM, Event, next_event
from vllm_quality.load.wire.template import Template, learn

_SHORT_RUN, _LONG_RUN = 16, 128


def read_stream(pieces: list[bytes], stamps: "array[float]", *, framed: bool = False) -> Content:
    """The content of a stream, up to `[DONE]`, a fault or its end.

    pieces, stamps: the reads and their times; framed: with the framing of HTTP's chunks. Which reads the bytes came in
    has no influence on anything but the times: an event's is that of the read which completed it.
    """
    reader = _Reader(pieces, stamps, framed)
    reader.read()
    return reader.content


class _Reader:
    """Takes whole reads that hold one event each, and fit the template, many at a time; all others event by event."""

    def __init__(self, pieces: list[bytes], stamps: "array[float]", framed: bool) -> None:
        self._pieces, self._stamps = pieces, stamps
        self._unframer = Unframer() if framed else None
        self.content = Content()
        # What was read and not yet taken: body, and where each of its reads ends in it.
        self._body = b""
        self._ends: list[int] = []
        self._times: list[float] = []
        self._read = 0
        self._at_start = True
        # The server's running count; None from the first text on that came without one.
        self._running: int | None = 0
        self._template: Template | None = None

    def read(self) -> None:
        index, count, window = 0, len(self._pieces), 1
        while index < count and not self._over:
            taken = self._read_run(index)
            index += taken
            # Where reads and events do not correspond, longer and longer stretches are read at once.
            window = 1 if taken else 2 * window
            if index < count:
                self._read_stretch(index, min(count, index + window))
                index += window
        if not self._over:
            # No blank line behind the last line is a common slip, and harmless for this one.
            self.content.done = self._body.strip() in (b"data: [DONE]", b"data:[DONE]")
        if not self._over and self._unframer is not None and self._unframer.fault is not None:
            self.content.fault = ("invalid", f"the answer is not HTTP/1.1: {self._unframer.fault}")
        if self._running is None:
            self.content.counts.clear()

    @property
    def _over(self) -> bool:
        return self.content.done or self.content.fault is not None

    def _read_run(self, index: int) -> int:
        """Take the reads from an index on that hold whole events and fit the template; return how many they are."""
        if self._template is None or self._body or not (self._unframer is None or self._unframer.at_boundary):
            return 0
        run, first, stride = self._template.run, index, _SHORT_RUN
        while pieces := self._pieces[index : index + stride]:
            units, owners = run.units(pieces)
            texts = run.texts(units, self._running or 0)
            if owners and len(texts) < len(units):
                # Of a read that fits in part, nothing is taken.
                del texts[bisect_left(owners, owners[len(texts)]) :]
            if not texts:
                break
            taken = owners[len(texts) - 1] + 1 if owners else len(texts)
            self._take_run(texts, [index + owner for owner in owners[: len(texts)]] or range(index, index + taken))
            index += taken
            # It may end again soon, and what was looked at behind its end was for nothing.
            stride = min(_LONG_RUN, 8 * stride) if taken == len(pieces) else _SHORT_RUN
        return index - first

    def _take_run(self, texts: list[bytes], reads: Sequence[int]) -> None:
        content, stamps = self.content, self._stamps
        content.pieces += texts
        if isinstance(reads, range):
            content.times += stamps[reads.start : reads.stop]
        else:
            content.times.extend(map(stamps.__getitem__, reads))
        if self._running is not None:
            content.counts += [1] * len(texts)
            self._running += len(texts)
            content.output_tokens = self._running

    def _read_stretch(self, index: int, stop: int) -> None:
        """Take the events that the reads from an index up to another complete."""
        pieces = self._pieces[index:stop]
        if self._unframer is not None:
            pieces = [*map(self._unframer.body, pieces)]
        self._ends += islice(accumulate(map(len, pieces), initial=len(self._body)), 1, None)
        self._times += self._stamps[index:stop]
        self._body += b"".join(pieces)
        self._read = position = 0
        if self._at_start and self._body.startswith(BOM):
            position = len(BOM)
        last = stop == len(self._pieces)
        while not self._over:
            position = self._read_alike(position)
            event = next_event(self._body, position)
            # A CR at the end may be the first half of a CRLF.
            if event is None or (event.end == len(self._body) and self._body.endswith(b"\r") and not last):
                break
            self._at_start = False
            self._read_event(event, position)
            position = event.end
        if self._at_start:
            return
        kept = bisect_right(self._ends, position)
        self._ends = [end - position for end in self._ends[kept:]]
        self._times = self._times[kept:]
        self._body = self._body[position:]

    def _read_alike(self, position: int) -> int:
        """Take the events that fit the template; return the offset behind them."""
        template = self._template
        if template is None:
            return position
        body, prefix, match, skip = self._body, template.prefix, template.rest.match, len(template.prefix)
        ends, stamps, read = self._ends, self._times, self._read
        times, counts, pieces = self.content.times, self.content.counts, self.content.pieces
        running = self._running if template.counted else None
        while body.startswith(prefix, position) and (found := match(body, position + skip)):
            position = found.end()
            text = found[1]
            pieces.append(text)
            if running is not None:
                count = int(found[2])
                new, running = count - running, count
                if new <= 0:
                    continue
                counts.append(new)
            elif not text:
                continue
            while ends[read] < position:
                read += 1
            times.append(stamps[read])
        self._read = read
        if running is not None:
            self._running = self.content.output_tokens = running
        return position

    def _read_event(self, event: Event, start: int) -> None:
        content = self.content
        if event.data.strip() == b"[DONE]":
            content.done = True
            return
        value = parse_object(event.data)
        if value is None:
            content.fault = ("invalid", f"an event holds no JSON object: {event.data.decode('utf-8', 'replace')}")
            return
        if event.kind == b"error" or value.get("error") or value.get("object") == "error":
            content.fault = ("stream_error", json.dumps(value.get("error") or value, ensure_ascii=False))
            return
        count = take_usage(content, value)
        choices = value.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        reason = choices[0].get("finish_reason")
        if isinstance(reason, str):
            content.finish_reason = reason
        text, called = output_of(choices[0])
        content.pieces.append(text.encode("utf-8", "replace"))
        self._take(event.end, bool(text) or called, count)
        # The last event is like no other.
        if text and (self._template is None or not reason):
            framed, counting = self._unframer is not None, self._running is not None
            learned = learn(self._body[start : event.end], text, counting=counting, framed=framed)
            self._template = learned or self._template

    def _take(self, end: int, output: bool, count: int | None) -> None:
        """Stamp an event that brought tokens: its count rose or, where the server does not count as it goes, it has text."""
        new = 1
        # Text without a count, or a first text with a count of 0: this server does not count as it goes.
        if output and (count is None or (count == 0 and not self.content.times)):
            self._running = self._template = None
        if self._running is None or count is None:
            if not output:
                return
        else:
            new, self._running = count - self._running, count
            if new <= 0:
                return
        while self._ends[self._read] < end:
            self._read += 1
        self.content.times.append(self._times[self._read])
        self.content.counts.append(new)
