"""Sound as it moves in this process: 48 kHz, mono, signed 16 bit, in frames of 20 ms."""

RATE_HZ = 48_000
FRAME_SAMPLES = RATE_HZ // 50
FRAME_BYTES = 2 * FRAME_SAMPLES
SILENCE = bytes(FRAME_BYTES)
