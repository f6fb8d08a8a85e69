"""The loops of a call that run per packet or per sample, in C.

On a pole they are most of what a call costs when Python runs them: the cost is the interpreter's, not the sums'
(docs/adr/0016-c-for-the-hot-loops.md). Each C file says what it computes; each has one Python file beside what uses it,
and nothing else calls it. `tools/build_native.sh` compiles them during the set-up.
"""
