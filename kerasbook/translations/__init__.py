"""The book in Chinese: `kerasbook translations check`, `update`, `accept`.

    english.py   the text to be translated, cell by cell, with its hashes
    blocks.py    the file of a translation, block by block, and the English it was made from
    checks.py    what a block shares with its cell; numbers.py and terms.py belong to it
    edition.py   what the commands do

A translation has prose only. Code and outputs are those of the executed English notebook.
"""
