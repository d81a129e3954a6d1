"""What the project needs in an AWS account. Live AWS is the state: there is no state file.

A Resource is read, compared with what is wanted, written one attribute at a time, and deleted; `stack` does that for
all of them, in an order in which each finds what it needs, and can be killed between any two calls.
"""
