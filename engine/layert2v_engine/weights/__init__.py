"""Networks of this project and of others: their licences, where they lie, whether they are whole.

Nothing here opens a connection. What is missing is described in words.
"""
