"""Faults to put into a program that keeps data: kills, failing calls, flipped bits and power cuts, all repeatable.

`inject` kills a program at a chosen system call or lets the call fail; `bitflips` damages what it left; `record` notes
all that it does to the disk, and `power` rebuilds from that what a power cut may leave. `workload`, `committer` and
`reader` apply them to this project's store, and show how to apply them to another. Linux only; needs strace.
"""
