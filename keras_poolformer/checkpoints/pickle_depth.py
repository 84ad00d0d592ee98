"""How deep the objects of a pickle are nested, found out without making any."""

import pickletools
from typing import IO

_MEMO_WRITES = ("PUT", "BINPUT", "LONG_BINPUT")
_MEMO_READS = ("GET", "BINGET", "LONG_BINGET")


def pickle_depth(file: IO[bytes]) -> int:
    """Returns the greatest depth of the one pickle that starts at the file's position.

    It is an upper bound: a container counts one more each time it is filled.

    Raises:
        ValueError: if the pickle is broken.
    """
    stack: list[int] = []  # the depth of each object on the unpickler's stack
    marks: list[int] = []  # places in it
    memo: dict[int, int] = {}
    deepest = 0
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "MARK":
            marks.append(len(stack))
            continue
        if opcode.name in _MEMO_WRITES or opcode.name == "MEMOIZE":
            place = len(memo) if opcode.name == "MEMOIZE" else int(argument or 0)
            memo[place] = stack[-1] if stack else 0
            continue
        if opcode.name in _MEMO_READS:
            stack.append(memo.get(int(argument or 0), 0))
            continue
        taken = len(opcode.stack_before)
        if pickletools.markobject in opcode.stack_before:
            mark = marks.pop() if marks else 0
            below = opcode.stack_before.index(pickletools.markobject)
            start = max(mark - below, 0)
        elif opcode.name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
            continue
        else:
            start = max(len(stack) - taken, 0)
        depth = max(stack[start:], default=-1) + 1
        del stack[start:]
        stack += [depth] * len(opcode.stack_after)
        deepest = max(deepest, depth)
    return deepest
