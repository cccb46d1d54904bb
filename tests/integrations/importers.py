"""What Canvas and Moodle do with a file that is uploaded, re-implemented from their sources.

Canvas: lib/gradebook_importer.rb, Assignment#infer_comment_context_from_filename, and the names of
lib/content_zipper.rb. Moodle: lib/csvlib.class.php, importgradeslib.php and importziplib.php in
mod/assign/feedback, and the names of mod/assign/classes/downloader.php. None of this was tried on
a live system.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


class Refused(Exception):
    """The importer refuses the file as a whole."""


# ---- Canvas --------------------------------------------------------------------------------------


@dataclass
class CanvasCourse:
    """Users by id as (sortable name, SIS user id, login), assignments by id, attachments by id."""

    users: Mapping[int, tuple[str, str, str]]
    assignments: Mapping[int, str]
    attachments: Mapping[int, int] = field(default_factory=dict)  # attachment -> user
    changed_points: dict[int, str] = field(default_factory=dict)

    def import_gradebook(self, data: bytes) -> dict[tuple[int, int], str]:
        """(user, assignment) -> grade; Refused for a header or a student that is not known."""
        text = data.decode("utf-8-sig")
        lines = text.splitlines(keepends=True)
        delimiter = self._delimiter(lines[:3])
        kept = "".join(line for line in lines if not re.fullmatch(r"[;, ]+", line.rstrip("\r\n")))
        rows = [
            [self._point(cell) for cell in row]
            for row in csv.reader(io.StringIO(kept, newline=""), delimiter=delimiter)
        ]
        header, *rest = rows
        columns = self._assignments(header)
        grades: dict[tuple[int, int], str] = {}
        for row in rest:
            if "Points Possible" in row[0]:
                self.changed_points = {a: row[i] for a, i in columns.items()}
                continue
            if all(re.fullmatch(r"\s*(Muted|Manual Posting.*)?\s*", cell, re.I) for cell in row):
                continue
            user = self._user(row, header)
            grades |= {(user, a): row[i].strip() for a, i in columns.items()}
        return grades

    @staticmethod
    def _delimiter(lines: Sequence[str]) -> str:
        counts = {}
        for separator in ";,":
            sizes = {len(next(csv.reader([line], delimiter=separator), [])) for line in lines}
            counts[separator] = sizes.pop() if len(sizes) == 1 else 0
        return ";" if counts[";"] > counts[","] else ","

    @staticmethod
    def _point(cell: str) -> str:
        if not re.fullmatch(r"-?[0-9.,]+%?", cell):
            return cell
        *whole, last = re.split(r"[,.]", cell)
        return f"{''.join(whole)}.{last}" if whole else last

    def _assignments(self, header: list[str]) -> dict[int, int]:
        if not (len(header) > 3 and "Student" in header[0] and "ID" in header[1]):
            raise Refused("Invalid header row")
        count = 3
        if re.search(r"SIS\s+Login\s+ID", header[2]):
            count = 4
        elif re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3]):
            integration = bool(re.search(r"Integration\s+ID", header[4]))
            count = 5 + integration
            count += bool(re.search(r"Root\s+Account", header[4 + integration]))
        if "Section" not in header[count - 1]:
            raise Refused("Invalid header row")
        columns = {}
        for index in range(count, len(header)):
            match = re.fullmatch(r"(.*)\s\((\d+)\)", header[index], re.DOTALL)
            known = int(match[2]) if match and int(match[2]) in self.assignments else None
            if known is None:
                raise Refused(f"would make a new assignment {header[index]!r}")
            columns[known] = index
        return columns

    def _user(self, row: list[str], header: list[str]) -> int:
        ident = int(row[1]) if row[1].isdigit() else 0
        if ident in self.users:
            return ident
        for user, (name, sis, login) in self.users.items():
            others = [cell for cell, title in zip(row, header, strict=True) if "SIS" in title]
            if (sis and sis in others) or (login and login in others) or name == row[0]:
                return user
        raise Refused(f"would make a new student {row[0]!r}")

    def import_comments(self, data: bytes) -> tuple[dict[int, str], list[str]]:
        """(page by user, files that are ignored) of "Upload submissions"."""
        taken, ignored = {}, []
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                numbers = [p for p in name.split("/")[-1].split("_") if re.fullmatch(r"\d+", p)]
                user, attachment = (*map(int, numbers[:2]), 0, 0)[:2]
                if self.attachments.get(attachment) == user and user in self.users:
                    taken[user] = archive.read(name).decode()
                else:
                    ignored.append(name)
        return taken, ignored

    def download_name(self, user: int, attachment: int, file: str, late: bool = False) -> str:
        """What a file is called in "Download submissions"."""
        name = re.sub(r"_(\d+)_", r"\1", self.users[user][0]).lower()
        parts = [name, *(["LATE"] if late else []), str(user)]
        start = re.sub(r"[^\w]", "", "_".join(parts))
        return f"{start}_{attachment}_" + re.sub(r'[\x00/\\:*?"<>|]+', "_", file)


# ---- Moodle --------------------------------------------------------------------------------------


@dataclass
class MoodleAssignment:
    """Participants' names by their ids in this assignment, and its maximum."""

    participants: Mapping[int, str]
    maximum: float = 50.0

    def import_worksheet(self, data: bytes) -> dict[int, tuple[str, str]]:
        """(grade, comment) by participant; Refused for a file that is not a worksheet."""
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
            raise Refused("csvweirdcolumns")
        columns = {name: index for index, name in enumerate(rows[0])}
        needed = ("Identifier", "Grade", "Last modified (grade)")
        if any(name not in columns for name in needed):
            raise Refused("invalidgradeimport")
        result = {}
        for row in rows[1:]:
            ident = row[columns["Identifier"]][len("Participant ") :]
            if ident.isdigit() and int(ident) in self.participants:
                comment = (
                    row[columns["Feedback comments"]] if "Feedback comments" in columns else ""
                )
                grade = row[columns["Grade"]]
                in_range = not grade or 0 <= float(grade) <= self.maximum
                result[int(ident)] = (grade if in_range else "", comment)
        return result

    def import_feedback(self, data: bytes) -> dict[int, tuple[str, str]]:
        """(file name, content) by participant, for every file that is taken."""
        result = {}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                parts = name.split("/")
                if parts[-1].startswith((".", "~")):
                    continue
                while parts:
                    info = parts.pop(0).split("_", 4)
                    if len(info) < 4 or not info[1].isdigit():
                        continue
                    if int(info[1]) not in self.participants or info[2] != "assignsubmission":
                        continue
                    file = "/".join([*(info[4:] or [""]), *parts])
                    result[int(info[1])] = (file, archive.read(name).decode())
                    break
        return result

    def download_name(self, participant: int, old: bool = True) -> str:
        """What a participant's folder is called in "Download all submissions"."""
        name = self.participants[participant].replace("_", " ")
        cleaned = clean_filename(f"{name}_{participant}_assignsubmission_file")
        return cleaned + ("_" if old else "")


def clean_filename(text: str) -> str:
    """Moodle's, which keeps letters of all scripts."""
    kept = re.sub(r'[\x00-\x1f&<>"`|\':/\\\\*?$]', "", text)
    return re.sub(r"\.\.+", ".", kept)


def worksheet(rows: Iterable[tuple[int, str, str]], comments: bool = True) -> bytes:
    """A grading worksheet of (participant, full name, e-mail)."""
    out = io.StringIO()
    writer = csv.writer(out)
    header = ["Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade"]
    header += ["Grade can be changed", "Last modified (grade)"]
    writer.writerow(header + ["Feedback comments"] * comments)
    for ident, name, email in rows:
        row = [f"Participant {ident}", name, email, "Submitted", "", "50.00", "Yes", "-"]
        writer.writerow(row + [""] * comments)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def gradebook(
    rows: Iterable[tuple[str, int, str, str]], columns: Mapping[str, str], delimiter: str = ","
) -> bytes:
    """Canvas' export of (name, id, SIS id, login), and points possible by assignment column."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    info = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    writer.writerow([*info, *columns, "Current Score", "Final Grade"])
    possible = ["    Points Possible", "", "", "", "", *columns.values()]
    writer.writerow([*possible, "(read only)", "(read only)"])
    for name, ident, sis, login in rows:
        writer.writerow([name, str(ident), sis, login, "A", *["7"] * len(columns), "7", "C"])
    return out.getvalue().encode()
