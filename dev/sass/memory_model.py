# SPDX-License-Identifier: Apache-2.0
"""Passes of a warp's memory instruction through the load/store unit, from the addresses that its active threads really use.

Letters are the sources at the head of hardware.py.
 shared   32 banks of 4 bytes (T). A pass serves one word of each bank, to however many threads. Accesses of 8 bytes go by half warps,
          of 16 bytes by quarters (P), also where fewer threads are active (A).
 atomic   in shared memory: as a store, but threads with the same address follow one another, a pass each (A).
          ATOMS.POPC.INC counts all threads of an address in one pass (A).
 global   a pass for each line of 128 bytes that a group touches; groups as above (A: a pass moves 128 bytes by P, and this denies that it can
          take them from several lines, although tags of four are looked up at once).
 local    lines are laid out so that 4 bytes of 32 threads share one: a pass for every 4 bytes of a thread (A).
"""

SECTOR, LINE = 32, 128


def grouped(lanes, addresses, size):
    """The addresses that go together: of a warp, of its halves, of its quarters."""
    if size <= 4:
        return [addresses]
    width = 128 // size
    groups = {}
    for lane, address in zip(lanes, addresses):
        groups.setdefault(lane // width, []).append(address)
    return groups.values()


def shared(lanes, addresses, size):
    passes = 0
    for group in grouped(lanes, addresses, size):
        words = {a >> 2 for a in group}
        if size > 4:
            words = {w + n for w in words for n in range(size // 4)}
        banks = {}
        for w in words:
            banks[w & 31] = banks.get(w & 31, 0) + 1
        passes += max(banks.values())
    return passes


def atomic(addresses, counts_up):
    banks = {}
    for a in set(addresses) if counts_up else addresses:
        banks[a >> 2 & 31] = banks.get(a >> 2 & 31, 0) + 1
    return max(banks.values())


def lines(lanes, addresses, size):
    return sum(len({a // LINE for a in group}) for group in grouped(lanes, addresses, size))


def sectors(addresses, size):
    """(sectors that a store touches, those that it does not write whole)."""
    written = {}
    for a in set(addresses):  # naturally aligned: no access crosses a sector
        written[a // SECTOR] = written.get(a // SECTOR, 0) + size
    return written.keys(), sum(n != SECTOR for n in written.values())
