"""GitHub: what runs in students' repositories, and in the course's for final projects.

template   a repository for students: the kit, and one workflow per session with its public checks
checks     public checks -> annotations on the student's lines, job summary
commands   the runner's workflow commands, in which no text of others can mean anything

check.yml                        the workflow of one session; `template` fills in which
entry.yml, score.yml, *.sh       final projects as pull requests: docs/pull-requests.md
"""
