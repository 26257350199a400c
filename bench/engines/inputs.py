"""Makes the inputs of the engine benchmarks from text: pictures of lines and pages, and speech.

Everything is drawn with Pillow's own font from the English texts in bench/prompts, in many sizes and colours, with a
little blur and noise, and resized as rapidocr does before its networks (heights, limits, multiples of 32; Pillow's
bilinear filter in place of OpenCV's). Pictures are kept as bytes, BGR, rows first; normalising is left to JavaScript.
Speech is eSpeak NG's, so synthetic, with pauses and noise. The same files on every run.

    python3 bench/engines/inputs.py bench/prompts bench/.models
"""

import ctypes
import gzip
import io
import json
import math
import pathlib
import random
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# Calibration and test share no text.
CALIBRATION_TEXTS = ["pride", "darwin", "moby-dick", "bread", "photosynthesis", "lighthouse", "interview"]
TEST_TEXTS = ["alice", "two-cities", "gettysburg", "history", "support-mail", "order-json", "changelog"]

CALIBRATION_PICTURES = 96
TEST_LINES = 96
TEST_PAGES = [(736, 736)] * 4 + [(960, 736)] * 2 + [(736, 1088)] * 2
CALIBRATION_PAGE = (736, 736)

RECOGNISER_HEIGHT, RECOGNISER_WIDTH = 48, 320
CLASSIFIER_HEIGHT, CLASSIFIER_WIDTH = 48, 192

SPEECH_RATE = 16000


def main():
    prompts, models = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    inputs = models / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    make_lines(prompts, inputs)
    make_pages(prompts, inputs)
    make_speech(prompts, models / "espeak", inputs)


def words(prompts, names):
    text = " ".join((prompts / f"{name}.txt").read_text() for name in names)
    # What the font and the recogniser both know.
    return [word for word in "".join(c if 32 <= ord(c) < 127 else " " for c in text).split() if len(word) < 20]


def make_lines(prompts, inputs):
    rng = random.Random(4)
    lines = {"calibration": [], "test": []}
    for kind, names, count, longest in (
        ("calibration", CALIBRATION_TEXTS, CALIBRATION_PICTURES, 16),
        ("test", TEST_TEXTS, TEST_LINES, 44),
    ):
        source = words(prompts, names)
        at = 0
        while len(lines[kind]) < count:
            # Of many lengths; the calibration's fit the width that rapidocr pads to.
            text, limit = source[at % len(source)], rng.randint(4, longest)
            at += 1
            while len(text) < limit and len(text) + 1 + len(source[at % len(source)]) <= longest:
                text += " " + source[at % len(source)]
                at += 1
            lines[kind].append((text, line_picture(text, rng)))

    fitted = [pad(by_height(picture, RECOGNISER_HEIGHT, RECOGNISER_WIDTH), RECOGNISER_WIDTH) for _, picture in lines["calibration"]]
    save(inputs / "recogniser-calibration.npy.gz", np.stack(fitted))
    halves = [turned(picture, index) for index, (_, picture) in enumerate(lines["calibration"])]
    save(inputs / "classifier-calibration.npy.gz", np.stack([pad(by_height(p, CLASSIFIER_HEIGHT, CLASSIFIER_WIDTH), CLASSIFIER_WIDTH) for p in halves]))

    texts = []
    for index, (text, picture) in enumerate(lines["test"]):
        save(inputs / f"recogniser-{index:02}.npy.gz", by_height(picture, RECOGNISER_HEIGHT, 2000))
        save(inputs / f"classifier-{index:02}.npy.gz", by_height(turned(picture, index), CLASSIFIER_HEIGHT, CLASSIFIER_WIDTH))
        texts.append(text)
    (inputs / "lines.json").write_text(json.dumps(texts, indent=0))


def turned(picture, index):
    return picture.rotate(180) if index % 2 else picture


def line_picture(text, rng):
    size = rng.randint(16, 44)
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    margin = rng.randint(2, max(3, size // 4))
    background, ink = colours(rng)
    picture = Image.new("RGB", (right - left + 2 * margin, bottom - top + 2 * margin), background)
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, font=font, fill=ink)
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.6)))
    if rng.random() < 0.5:
        picture = noisy(picture, rng, rng.uniform(1, 6))
    return picture


def colours(rng):
    """A background and an ink that differ enough in brightness to be read."""
    while True:
        background = tuple(rng.randint(0, 255) for _ in range(3))
        ink = tuple(rng.randint(0, 255) for _ in range(3))
        if abs(brightness(background) - brightness(ink)) > 90:
            return background, ink


def brightness(colour):
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def noisy(picture, rng, deviation, grain=1):
    """`grain`: pixels of a side that share a value, as a compressed photograph's do."""
    generator = np.random.default_rng(rng.getrandbits(32))
    height, width = picture.height, picture.width
    noise = generator.normal(0, deviation, (-(-height // grain), -(-width // grain), 3)).repeat(grain, 0).repeat(grain, 1)
    return Image.fromarray(np.clip(np.asarray(picture) + noise[:height, :width], 0, 255).round().astype(np.uint8))


def by_height(picture, height, longest):
    """To this height, the width by the picture's ratio but no more than `longest`."""
    width = min(longest, math.ceil(height * picture.width / picture.height))
    return bgr(picture.resize((width, height), Image.BILINEAR))


def pad(array, width):
    """With the middle of the range, which normalising turns into 0 but for half a step."""
    out = np.full((array.shape[0], width, 3), 128, np.uint8)
    out[:, : array.shape[1]] = array
    return out


def make_pages(prompts, inputs):
    rng = random.Random(5)
    source = words(prompts, CALIBRATION_TEXTS)
    pages = [page_picture(source, CALIBRATION_PAGE, rng) for _ in range(CALIBRATION_PICTURES)]
    save(inputs / "detector-calibration.npy.gz", np.stack([bgr(page) for page in pages]))
    source = words(prompts, TEST_TEXTS)
    for index, (width, height) in enumerate(TEST_PAGES):
        save(inputs / f"detector-{index:02}.npy.gz", bgr(page_picture(source, (width, height), rng)))


def page_picture(source, size, rng):
    """Lines of several sizes on one background, now and then on a box of another colour. Sides are multiples of 32 and
    at least 736, so rapidocr would leave the size as it is."""
    background, _ = colours(rng)
    page = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(page)
    y = rng.randint(8, 40)
    while y < size[1] - 60:
        height = rng.choice([14, 16, 18, 20, 24, 28, 36, 48])
        font = ImageFont.load_default(height)
        at = rng.randrange(len(source))
        text = " ".join(source[at : at + rng.randint(1, 12)])
        x = rng.randint(8, size[0] // 2)
        while len(text) > 1 and font.getlength(text) > size[0] - x - 8:
            text = text[:-1]
        under, ink = colours(rng)
        if rng.random() < 0.25:
            draw.rectangle([x - 6, y - 4, x + font.getlength(text) + 6, y + height + 8], fill=under)
        else:
            ink = tuple(255 - c if abs(brightness(ink) - brightness(background)) <= 90 else c for c in ink)
        draw.text((x, y), text, font=font, fill=ink)
        y += int(height * rng.uniform(1.3, 2.6))
    if rng.random() < 0.2:
        page = noisy(page, rng, rng.uniform(1, 5), grain=4)
    return page


def bgr(picture):
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


def make_speech(prompts, espeak, inputs):
    """About 20 seconds in windows of 512 samples, each led by the 64 before it, as silero-vad takes them."""
    rng = np.random.default_rng(6)
    sentences = (prompts / "alice.txt").read_text().split(",")[:3] + (prompts / "gettysburg.txt").read_text().split(",")[:2]
    pause = lambda seconds: np.zeros(int(SPEECH_RATE * seconds))
    parts = [pause(0.8)]
    for voice, sentence in zip(["en", "en-us", "en-gb-scotland", "en", "en-us"], sentences):
        parts += [0.6 * speak(espeak, voice, sentence), pause(rng.uniform(0.4, 1.5))]
    sound = np.concatenate(parts)[: 20 * SPEECH_RATE]
    sound = sound + rng.normal(0, 0.003, sound.shape)
    windows = len(sound) // 512
    padded = np.concatenate([np.zeros(64), sound]).astype(np.float32)
    save(inputs / "silero-vad.npy.gz", np.stack([padded[at * 512 : at * 512 + 576] for at in range(windows)]))


def speak(espeak, voice, text):
    """eSpeak NG in this process, brought to 16 kHz."""
    library = ctypes.CDLL(str(espeak / "libespeak-ng.so"))
    synchronous = 2
    rate = library.espeak_Initialize(synchronous, 0, str(espeak).encode(), 0)
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def take(samples, count, _):
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    library.espeak_SetSynthCallback(take)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise RuntimeError(f"eSpeak NG has no voice {voice}")
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, 1, None, None)
    library.espeak_Synchronize()
    sound = np.concatenate(pieces) / 32768
    at = np.arange(0, len(sound) - 1, rate / SPEECH_RATE)
    return np.interp(at, np.arange(len(sound)), sound)


def save(path, array):
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    # No time of day in it: the same bytes on every run.
    path.write_bytes(gzip.compress(buffer.getvalue(), 6, mtime=0))


main()
