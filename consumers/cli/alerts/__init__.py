"""
`gateway alerts`: alerts that fired, rules, back-tests, mutes and targets.

- `commands`: the commands and their options. `apply`: saves the rules of a file. `format`: how they look.
"""
