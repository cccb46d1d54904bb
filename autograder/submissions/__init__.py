"""From a folder of submissions to frozen `Submission` records, without trusting a byte of them.

identity      display names, file-name slugs, who is the same student
members       rules for names and sizes that every archive must keep
zip_format    a strict zip reader
folder        a folder reader that follows no link
archive       which files are archives, and which of them are read
source        size, encoding and line ends of one Python file
manifest      the hash manifest that `submit` packs
submission    all of it together: `collect`, `read_submission`
"""

from autograder.submissions.submission import Collected, Submission, collect, read_submission

__all__ = ["Collected", "Submission", "collect", "read_submission"]
