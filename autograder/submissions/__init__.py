"""From a folder of submissions to frozen `Submission` records, without trusting a byte of them.

collect       what a platform's download, or a folder, holds: one collector per layout
identity      display names, file-name slugs, who is the same student
members       rules for names and sizes that every archive must keep
junk          what tools leave and nobody submitted
zip_format    a strict zip reader
folder        a folder reader that follows no link
archive       which files are archives, and which of them are read
nested        archives inside a submission
chosen_folder which folder of a submission counts
left_out      other versions of its files, which were not graded
near_names    files that were probably meant as one of the session's
files         opens what lies in a folder without being led elsewhere
inflate       decompression in bounded steps
flagged_files, flagged_lines   what staff may want to look at
advice        what a student should know before submitting
pack          a student's files in one submission
source        size, encoding and line ends of one Python file
manifest      the hash manifest that `submit` packs
submission    all of it together for one student: `read_submission`
"""

from autograder.submissions.collect import LAYOUTS, Collected, collect
from autograder.submissions.collect.clones import limits_of_clone
from autograder.submissions.submission import Submission, read_submission

__all__ = ["LAYOUTS", "Collected", "Submission", "collect", "limits_of_clone", "read_submission"]
