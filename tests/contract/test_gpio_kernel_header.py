"""Our bytes for the kernel's GPIO interface against linux/gpio.h itself, as the C compiler understands it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from unitd.drivers import gpio_uapi as uapi

PROGRAM = """
#include <stdio.h>
#include <stddef.h>
#include <linux/gpio.h>
#define SAY(name, value) printf("%s %llu\\n", name, (unsigned long long)(value))
int main(void) {
    SAY("chip_info", sizeof(struct gpiochip_info));
    SAY("chip_info.label", offsetof(struct gpiochip_info, label));
    SAY("line_info", sizeof(struct gpio_v2_line_info));
    SAY("line_info.consumer", offsetof(struct gpio_v2_line_info, consumer));
    SAY("line_info.offset", offsetof(struct gpio_v2_line_info, offset));
    SAY("line_info.flags", offsetof(struct gpio_v2_line_info, flags));
    SAY("request", sizeof(struct gpio_v2_line_request));
    SAY("request.consumer", offsetof(struct gpio_v2_line_request, consumer));
    SAY("request.flags", offsetof(struct gpio_v2_line_request, config.flags));
    SAY("request.num_lines", offsetof(struct gpio_v2_line_request, num_lines));
    SAY("request.event_buffer_size", offsetof(struct gpio_v2_line_request, event_buffer_size));
    SAY("request.fd", offsetof(struct gpio_v2_line_request, fd));
    SAY("values", sizeof(struct gpio_v2_line_values));
    SAY("event", sizeof(struct gpio_v2_line_event));
    SAY("event.id", offsetof(struct gpio_v2_line_event, id));
    SAY("event.seqno", offsetof(struct gpio_v2_line_event, seqno));
    SAY("GET_CHIP_INFO", GPIO_GET_CHIPINFO_IOCTL);
    SAY("GET_LINE_INFO", GPIO_V2_GET_LINEINFO_IOCTL);
    SAY("GET_LINE", GPIO_V2_GET_LINE_IOCTL);
    SAY("GET_VALUES", GPIO_V2_LINE_GET_VALUES_IOCTL);
    SAY("USED", GPIO_V2_LINE_FLAG_USED);
    SAY("INPUT", GPIO_V2_LINE_FLAG_INPUT);
    SAY("EDGE_RISING", GPIO_V2_LINE_FLAG_EDGE_RISING);
    SAY("EDGE_FALLING", GPIO_V2_LINE_FLAG_EDGE_FALLING);
    SAY("PULL_UP", GPIO_V2_LINE_FLAG_BIAS_PULL_UP);
    SAY("PULL_DOWN", GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN);
    SAY("RISING", GPIO_V2_LINE_EVENT_RISING_EDGE);
    SAY("FALLING", GPIO_V2_LINE_EVENT_FALLING_EDGE);
    SAY("buffer", GPIO_V2_LINES_MAX * 16);
    return 0;
}
"""


def place(data: bytes, what: bytes) -> int:
    """Where in `data` the mark is; there is one only."""
    assert data.count(what) == 1, data
    return data.index(what)


def test_sizes_places_and_numbers_are_the_headers(tmp_path: Path) -> None:
    (tmp_path / "header.c").write_text(PROGRAM, encoding="ascii")
    subprocess.run(["gcc", "-o", str(tmp_path / "header"), str(tmp_path / "header.c")], check=True, timeout=60)
    said = subprocess.run([str(tmp_path / "header")], check=True, capture_output=True, text=True, timeout=10).stdout
    header = {name: int(value) for name, value in (line.split() for line in said.splitlines())}

    request = uapi.request(0x11111111, "CONSUMER", 0x2222222222222222)
    event = uapi.EVENT.pack(0, 0x33333333, 0, 0x44444444, 0)
    line = uapi.LINE_INFO.pack(b"", b"CONSUMER", 0x55555555, 0, 0x6666666666666666)
    assert request[:4] == b"\x11" * 4
    assert header == {
        "chip_info": uapi.CHIP_INFO.size,
        "chip_info.label": place(uapi.CHIP_INFO.pack(b"", b"LABEL", 0), b"LABEL"),
        "line_info": uapi.LINE_INFO.size,
        "line_info.consumer": place(line, b"CONSUMER"),
        "line_info.offset": place(line, b"\x55" * 4),
        "line_info.flags": place(line, b"\x66" * 8),
        "request": uapi.REQUEST.size,
        "request.consumer": place(request, b"CONSUMER"),
        "request.flags": place(request, b"\x22" * 8),
        "request.num_lines": place(request, (1).to_bytes(4, "little")),
        "request.event_buffer_size": place(request, (1024).to_bytes(4, "little")),
        "request.fd": place(uapi.REQUEST.pack(*[0] * 64, b"", 0, 0, 0, 0, 0x77777777), b"\x77" * 4),
        "values": uapi.VALUES.size,
        "event": uapi.EVENT.size,
        "event.id": place(event, b"\x33" * 4),
        "event.seqno": place(event, b"\x44" * 4),
        "GET_CHIP_INFO": uapi.GET_CHIP_INFO,
        "GET_LINE_INFO": uapi.GET_LINE_INFO,
        "GET_LINE": uapi.GET_LINE,
        "GET_VALUES": uapi.GET_VALUES,
        "USED": uapi.FLAG_USED,
        "INPUT": uapi.FLAG_INPUT,
        "EDGE_RISING": uapi.FLAG_EDGE_RISING,
        "EDGE_FALLING": uapi.FLAG_EDGE_FALLING,
        "PULL_UP": uapi.FLAG_BIAS_PULL_UP,
        "PULL_DOWN": uapi.FLAG_BIAS_PULL_DOWN,
        "RISING": uapi.RISING,
        "FALLING": uapi.FALLING,
        "buffer": uapi.EVENT_BUFFER_EVENTS,
    }  # fmt: skip
