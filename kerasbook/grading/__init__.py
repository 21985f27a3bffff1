"""Grading: a trusted grader, an untrusted worker, and nothing but bytes between them.

The way of a class, a file each:

    classroom     a record for each learner; its parts are records, tables, html, similarity
    intake        a process for each submission, which reads it and runs nothing
    submissions   folders, files, zips → question → text; notebooks reads notebooks
    question      the cases asked in turn, answers compared (compare), points counted
    in_worker     an answer run by a worker, in_process one that is trusted
    connection    bytes to one worker and from it, never a wait for ever
    workers       the warm server that forks them; folders it writes into, readable: what they see
    worker/       what runs beside a learner's code: server, supervisor, the walls, execute
    exports/      what other tools read
    text          what came from outside, escaped
"""
