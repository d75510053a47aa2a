"""A project of one's own: what `forestay init` makes, and what `init --update` brings up to date.

answers    what is asked, and the checks of each answer
files      answers -> the text of every file
record     `.forestay-project.yml`: the answers, the version, and each file as it was made
place      files into a folder, all or none, over nothing
update     the version that made a project -> this one: three-way, the user's edits stay
"""
