# SPDX-License-Identifier: BSD-3-Clause
"""The steps of memory.bats: what stands in turncredd's memory, which only root can read."""
import pathlib
import sys

import support


def copies(pid, value):
    """How often the octets stand in memory."""
    count = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, rights, *_, = line.split()
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            begin, end = (int(x, 16) for x in where.split("-"))
            memory.seek(begin)
            try:
                count += memory.read(end - begin).count(value)
            except (OSError, ValueError):
                continue
    return count


def there(pid, *files):
    for name in files:
        assert copies(pid, pathlib.Path(name).read_bytes()), f"{name} is not in memory: the search finds nothing"


def gone(pid, *files):
    """Within ten seconds: turncredd asks the database each second."""
    left = {}

    def none():
        left.clear()
        left.update({name: n for name in files if (n := copies(pid, pathlib.Path(name).read_bytes()))})
        return not left

    try:
        support.wait_until(none, 10, 0.3)
    except AssertionError:
        raise AssertionError(f"still in memory: {left}") from None


def cleared(pid, text):
    """SECURITY.md (Keys in memory): the JSON, its text and the headers are overwritten; what GnuTLS has written from may stay:
    the password once in the body, and once in each of two Link headers."""
    count = copies(pid, text.encode())
    print(f"{count} copies")
    assert count <= 3, count


if __name__ == "__main__":
    {f.__name__: f for f in (there, gone, cleared)}[sys.argv[1]](*sys.argv[2:])
