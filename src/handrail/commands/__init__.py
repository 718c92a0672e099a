"""Every act a person or a program can ask for, one function each.

A CLI verb, a button and an API route end in the same function here: it checks the permission (`actor.authorise`),
the values that it was given (`values`), and calls the rooms below. Acts take the `Desk` (the rooms) and the `Actor`
(who asks) first.
"""
