"""The table of speeds: our parts beside their peers, on the same input, in the same run (`make bench`).

`inputs` makes what is measured on, `racing` runs contenders as fresh processes in turns, a module of `rows` stands for
each row of the table, `work` holds the processes that are measured, `peers` what others would write, `table` prints.
"""
