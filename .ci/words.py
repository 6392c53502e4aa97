"""
Find the phrases of words.txt in documents and in the comments and strings of code: `python .ci/words.py PATH...`.

Exit code 1 when there is any. A line of code that must say one (a quotation, a test of the list) ends in `# words: ok`.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

LIST = Path(__file__).with_name("words.txt")
KINDS = {".py", ".md", ".toml", ".yml", ".sql"}
SKIPPED = {"migrations", "__pycache__", "node_modules"}  # an applied migration is never edited


def rules() -> list[tuple[re.Pattern[str], str]]:
    """Read the list: a pattern and what to write instead."""
    found = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, advice = line.partition(" => ")
            found.append((re.compile(pattern, re.IGNORECASE), advice))
    return found


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines of a document, or of the comments and strings of a Python file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    lines = text.splitlines()
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and not lines[token.start[0] - 1].endswith("# words: ok"):
            yield from enumerate(token.string.splitlines(), token.start[0])


def files(arguments: list[str]) -> Iterator[Path]:
    """Yield each file of these kinds in files and folders."""
    for argument in map(Path, arguments):
        for path in sorted(argument.rglob("*")) if argument.is_dir() else [argument]:
            if path.suffix in KINDS and not SKIPPED & set(path.parts):
                yield path


def main(arguments: list[str]) -> int:
    """Print each place as path:line: phrase => advice; return how the process ends."""
    wanted, count = rules(), 0
    for path in files(arguments):
        for number, line in prose(path):
            for pattern, advice in wanted:
                if found := pattern.search(line):
                    count += 1
                    print(f"{path}:{number}: {found.group()!r} => {advice}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
