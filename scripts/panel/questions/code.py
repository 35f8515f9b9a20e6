"""Programming: what code prints, short functions that must pass tests, and everyday tools."""

import contextlib
import io
import json
import re
import sqlite3

from scripts.panel.template import Case, Template


def _printed(code: str) -> str:
    """What one of this file's own snippets prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return out.getvalue().strip()


def _prints(*codes: str) -> tuple[Case, ...]:
    return tuple(Case(slots={"code": code}, reference=_printed(code)) for code in codes)


def _raised(code: str) -> str:
    try:
        exec(code, {})
    except Exception as error:
        return type(error).__name__
    raise AssertionError(f"{code!r} raises nothing")


_ERRORS = "KeyError,IndexError,ValueError,TypeError,AttributeError,NameError,ZeroDivisionError,SyntaxError"

_ROWS = (
    ("Ana", "Oslo", 31),
    ("Bo", "Bergen", 45),
    ("Cy", "Oslo", 27),
    ("Di", "Oslo", 52),
    ("Ed", "Bergen", 38),
)


def _selected(query: str) -> str:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE staff (name TEXT, city TEXT, age INTEGER)")
        db.executemany("INSERT INTO staff VALUES (?, ?, ?)", _ROWS)
        return str(db.execute(query).fetchone()[0])


def _only_match(pattern: str, options: str) -> str:
    matches = [option for option in options.split(", ") if re.fullmatch(pattern, option)]
    assert len(matches) == 1, (pattern, matches)
    return f"{matches[0]}//{options.replace(', ', ',')}"


_CONFIG = {
    "name": "relay",
    "ports": [8080, 9090, 7070],
    "owner": {"team": "core", "people": [{"id": 7}, {"id": 12}]},
    "debug": False,
}


TEMPLATES: tuple[Template, ...] = (
    Template(
        name="python_prints_number",
        task="code",
        check="number",
        wording="What does this Python code print?\n{code}",
        paraphrases=(
            "Which number appears on the screen when this Python program runs?\n{code}",
            "Trace the following Python and give its output.\n{code}",
            "{code}\nWhat is the output of the Python snippet above?",
            "Run this Python code in your head. What is printed?\n{code}",
            "State the number written to standard output by this Python:\n{code}",
        ),
        cases=_prints(
            "total = 0\nfor i in range(1, 8):\n    if i % 3:\n        total += i\nprint(total)",
            "x = 5\nx += 2\nprint(x * 3)",
            "def f(n):\n    return 1 if n < 2 else f(n - 1) + 2 * f(n - 2)\nprint(f(6))",
            "a = [4, 9, 1]\nb = a\nb.append(6)\nprint(len(a) + a[-1])",
        ),
    ),
    Template(
        name="python_prints_slice",
        task="code",
        check="verbatim",
        wording="What does this Python line print?\n{code}",
        paraphrases=(
            "Give the output of this line of Python:\n{code}",
            "{code}\nWhich text does the Python line above print?",
            "Say what appears when Python executes this:\n{code}",
            "In Python, what is the printed result here?\n{code}",
            "Work out what is shown by the Python statement below.\n{code}",
        ),
        cases=_prints(
            "print('marigold'[2:6])",
            "print('hello'.upper())",
            "print('lantern'[::-2])",
            "print('-'.join('a,b,c'.split(',')[1:]))",
        ),
    ),
    Template(
        name="python_prints_list",
        task="code",
        check="json",
        wording="What list does this Python code print?\n{code}",
        paraphrases=(
            "Give the list printed by the following Python.\n{code}",
            "{code}\nThe Python code above prints a list. Which one?",
            "Evaluate this Python and write down the list it outputs:\n{code}",
            "Which list is the output of this Python program?\n{code}",
            "After running this Python, what list is displayed?\n{code}",
        ),
        cases=_prints(
            "print([n * n for n in range(6) if n % 2 == 1])",
            "print(sorted([3, 1, 2]))",
            "a = [1, 2, 3, 4, 5]\na[1:3] = [9]\nprint(a)",
            "print([x for pair in zip([1, 2, 3], [7, 8]) for x in pair])",
        ),
    ),
    Template(
        name="python_true_or_false",
        task="code",
        check="label",
        wording="Does this Python expression give True or False?\n{expression}",
        paraphrases=(
            "Evaluate in Python, True or False:\n{expression}",
            "{expression}\nIs the value of this Python expression True or False?",
            "What would the Python shell show for this, True or False?\n{expression}",
            "Decide whether Python evaluates the line below to True or to False.\n{expression}",
            "True or False: what does Python return here?\n{expression}",
        ),
        cases=tuple(
            Case(slots={"expression": text}, reference=_printed(f"print({text})") + "//True,False")
            for text in (
                "bool('False') and not []",
                "3 in [1, 2, 3]",
                "0.1 + 0.2 == 0.3",
                "'apple' < 'Banana'",
            )
        ),
    ),
    Template(
        name="write_number_function",
        task="code",
        check="python",
        wording="Write a Python function {signature} that returns {what}.",
        paraphrases=(
            "Define {signature} in Python; it must return {what}.",
            "I need a Python function {signature}. Its return value is {what}.",
            "Implement {signature} in Python so that {what} is returned.",
            "Give Python code for {signature}, a function returning {what}.",
            "In Python, code up {signature} such that the result is {what}.",
        ),
        cases=(
            Case(
                slots={
                    "signature": "count_even(numbers)",
                    "what": "how many numbers in the list are even",
                    "_solution": "def count_even(numbers):\n    return sum(n % 2 == 0 for n in numbers)",
                },
                reference=(
                    "assert count_even([1, 2, 4]) == 2\nassert count_even([]) == 0\nassert count_even([-2, "
                    "0, 7]) == 2"
                ),
            ),
            Case(
                slots={
                    "signature": "double(x)",
                    "what": "twice the number x",
                    "_solution": "def double(x): return 2 * x",
                },
                reference="assert double(4) == 8\nassert double(-1.5) == -3.0",
            ),
            Case(
                slots={
                    "signature": "second_largest(numbers)",
                    "what": "the second largest distinct value in the list, or None if there is none",
                    "_solution": (
                        "def second_largest(numbers):\n    s = sorted(set(numbers))\n    return s[-2] if "
                        "len(s) > 1 else None"
                    ),
                },
                reference=(
                    "assert second_largest([5, 1, 5, 3]) == 3\nassert second_largest([2, 2]) is None\nassert "
                    "second_largest([]) is None\nassert second_largest([-4, -9]) == -9"
                ),
            ),
            Case(
                slots={
                    "signature": "digit_sum(n)",
                    "what": "the sum of the decimal digits of the integer n, which may be negative",
                    "_solution": "def digit_sum(n): return sum(int(d) for d in str(abs(n)))",
                },
                reference="assert digit_sum(407) == 11\nassert digit_sum(0) == 0\nassert digit_sum(-52) == 7",
            ),
        ),
    ),
    Template(
        name="write_text_function",
        task="code",
        check="python",
        wording="Write a Python function {signature} that returns {what}.",
        paraphrases=(
            "Please give me {signature} in Python: it should return {what}.",
            "Code a short Python function {signature} whose result is {what}.",
            "In Python, how would you define {signature} to return {what}?",
            "Create the Python function {signature}; calling it yields {what}.",
            "Provide a Python definition of {signature} which hands back {what}.",
        ),
        cases=(
            Case(
                slots={
                    "signature": "is_palindrome(text)",
                    "what": "True if text reads the same backwards, ignoring case and spaces, else False",
                    "_solution": (
                        "def is_palindrome(text):\n    t = text.lower().replace(' ', '')\n    return t == "
                        "t[::-1]"
                    ),
                },
                reference=(
                    "assert is_palindrome('Never odd or even') is True\nassert is_palindrome('abca') is "
                    "False\nassert is_palindrome('') is True"
                ),
            ),
            Case(
                slots={
                    "signature": "shout(text)",
                    "what": "text in capital letters with an exclamation mark at the end",
                    "_solution": "def shout(text): return text.upper() + '!'",
                },
                reference="assert shout('hey you') == 'HEY YOU!'\nassert shout('') == '!'",
            ),
            Case(
                slots={
                    "signature": "compress(text)",
                    "what": "the run-length code of text, so 'aaab' becomes 'a3b1' and '' stays ''",
                    "_solution": (
                        "from itertools import groupby\ndef compress(text):\n    return "
                        "''.join(f'{c}{len(list(g))}' for c, g in groupby(text))"
                    ),
                },
                reference=(
                    "assert compress('aaab') == 'a3b1'\nassert compress('') == ''\nassert compress('xyx') == "
                    "'x1y1x1'\nassert compress('z' * 12) == 'z12'"
                ),
            ),
            Case(
                slots={
                    "signature": "initials(name)",
                    "what": "the first letters of all words in name, in upper case, joined without spaces",
                    "_solution": "def initials(name): return ''.join(w[0].upper() for w in name.split())",
                },
                reference="assert initials('ada maria  byrd') == 'AMB'\nassert initials('Bo') == 'B'",
            ),
        ),
    ),
    Template(
        name="fix_the_bug",
        task="code",
        check="python",
        wording=(
            "This Python function should return {goal}, but it has a bug. Write the corrected "
            "function.\n{code}"
        ),
        paraphrases=(
            "Repair this Python function so that it returns {goal}:\n{code}",
            "{code}\nThe Python above is wrong: it is meant to return {goal}. Give a working version.",
            "Find the mistake and rewrite the Python function; the intended result is {goal}.\n{code}",
            "My Python function ought to return {goal}, yet it fails. Send the fixed code.\n{code}",
            "Debug the following. Expected return value: {goal}. Show the right function.\n{code}",
        ),
        cases=(
            Case(
                slots={
                    "goal": "the average of a list, and 0 for an empty list",
                    "code": "def mean(xs):\n    return sum(xs) / len(xs)",
                    "_solution": "def mean(xs):\n    return sum(xs) / len(xs) if xs else 0",
                },
                reference="assert mean([1, 2, 6]) == 3\nassert mean([]) == 0",
            ),
            Case(
                slots={
                    "goal": "the larger of two numbers",
                    "code": "def larger(a, b):\n    if a > b:\n        return b\n    return a",
                    "_solution": "def larger(a, b):\n    return a if a > b else b",
                },
                reference="assert larger(2, 5) == 5\nassert larger(7, -1) == 7\nassert larger(3, 3) == 3",
            ),
            Case(
                slots={
                    "goal": "a new list holding the given items plus x, with no memory of earlier calls",
                    "code": "def with_item(x, items=[]):\n    items.append(x)\n    return items",
                    "_solution": "def with_item(x, items=()):\n    return [*items, x]",
                },
                reference=(
                    "assert with_item(1) == [1]\nassert with_item(2) == [2]\nkept = [5]\nassert with_item(6, "
                    "kept) == [5, 6]\nassert kept == [5]"
                ),
            ),
            Case(
                slots={
                    "goal": "the sum of the whole numbers from 1 to n, n included",
                    "code": (
                        "def sum_to(n):\n    total = 0\n    for i in range(n):\n        total += i\n    "
                        "return total"
                    ),
                    "_solution": "def sum_to(n):\n    return n * (n + 1) // 2",
                },
                reference="assert sum_to(4) == 10\nassert sum_to(1) == 1\nassert sum_to(0) == 0",
            ),
        ),
    ),
    Template(
        name="time_complexity",
        task="code",
        check="contains",
        wording="What is the worst-case time complexity, in big O of n, of {algorithm}?",
        paraphrases=(
            "In big O notation with n, how slow can {algorithm} get in the worst case?",
            "Give the worst-case running time of {algorithm} as O(...) in n.",
            "How does the time of {algorithm} grow with n at worst? Use big O.",
            "State the big O bound in n for the worst case of {algorithm}.",
            (
                "Which complexity class O(...) describes {algorithm}, taking the worst case over inputs of "
                "size n?"
            ),
        ),
        cases=(
            Case(
                slots={"algorithm": "binary search in a sorted array of n items"},
                reference="O(log n)|O(log(n))|O(logn)|O(log2 n)|O(log2(n))|O(log_2 n)|O(\\log n)",
            ),
            Case(
                slots={"algorithm": "comparing every pair of items in a list of n with two nested loops"},
                reference="O(n^2)|O(n\u00b2)|O(n**2)|O(n^{2})|O(n*n)",
            ),
            Case(
                slots={"algorithm": "quicksort with the first element as the pivot, on n items"},
                reference="O(n^2)|O(n\u00b2)|O(n**2)|O(n^{2})|O(n*n)",
            ),
            Case(
                slots={"algorithm": "merge sort on n items"},
                reference="O(n log n)|O(n log(n))|O(n*log(n))|O(n * log n)|O(nlogn)|O(n \\log n)|O(n log2 n)",
            ),
        ),
    ),
    Template(
        name="regex_match",
        task="code",
        check="label",
        wording=(
            "Exactly one of these strings is matched in full by the regex {pattern} - which one? {options}"
        ),
        paraphrases=(
            (
                "The regular expression {pattern} matches just one of these from start to end: {options}. "
                "Name it."
            ),
            "Among {options}, which string does the regex {pattern} match entirely?",
            "Pick the one string out of {options} that {pattern} (a regex) fully matches.",
            "Given the regex {pattern}, find its only complete match here: {options}",
            "Only a single entry of this list is fully described by the regex {pattern}: {options}. Which?",
        ),
        cases=tuple(
            Case(
                slots={"pattern": pattern, "options": options},
                reference=_only_match(pattern, options),
            )
            for pattern, options in (
                (r"[a-c]+\d{2}", "abc1, bca42, abd42, 42abc"),
                (r"\d+", "cat, 2024, 20b4, abc"),
                (r"(ab)*c?", "abcab, ababc, aabb, abcc"),
                (r"[A-Z][a-z]{2,3}\d?", "Mon12, tue, Wedn5, FRI"),
            )
        ),
    ),
    Template(
        name="sql_result",
        task="code",
        check="contains",
        wording=(
            "Table staff(name, city, age): (Ana, Oslo, 31), (Bo, Bergen, 45), (Cy, Oslo, 27), (Di, Oslo, "
            "52), (Ed, Bergen, 38). What does this return?\n{query}"
        ),
        paraphrases=(
            (
                "The SQL table staff has columns name, city, age and the rows Ana Oslo 31; Bo Bergen 45; Cy "
                "Oslo 27; Di Oslo 52; Ed Bergen 38. Give the result of:\n{query}"
            ),
            (
                "{query}\nWhat is the result, if staff(name, city, age) holds Ana/Oslo/31, Bo/Bergen/45, "
                "Cy/Oslo/27, Di/Oslo/52 and Ed/Bergen/38?"
            ),
            (
                "Evaluate this SQL by hand.\n{query}\nRows of staff (name, city, age): Ana, Oslo, 31; Bo, "
                "Bergen, 45; Cy, Oslo, 27; Di, Oslo, 52; Ed, Bergen, 38."
            ),
            (
                "Staff data (name, city, age): Ana Oslo 31 | Bo Bergen 45 | Cy Oslo 27 | Di Oslo 52 | Ed "
                "Bergen 38. Which value comes out of the query below?\n{query}"
            ),
            (
                "In staff there are five people with name, city and age: Ana (Oslo, 31), Bo (Bergen, 45), Cy "
                "(Oslo, 27), Di (Oslo, 52), Ed (Bergen, 38). State what this yields:\n{query}"
            ),
        ),
        cases=tuple(
            Case(slots={"query": query}, reference=_selected(query))
            for query in (
                "SELECT COUNT(*) FROM staff WHERE city = 'Oslo' AND age > 30",
                "SELECT MAX(age) FROM staff",
                "SELECT name FROM staff WHERE city = 'Oslo' ORDER BY age LIMIT 1",
                "SELECT SUM(age) FROM staff GROUP BY city HAVING COUNT(*) = 2",
            )
        ),
    ),
    Template(
        name="shell_command",
        task="code",
        check="contains",
        wording="Which Unix command {does}?",
        paraphrases=(
            "Name the standard Unix command that {does}.",
            "On a Linux shell, what is the command called which {does}?",
            "I am looking for the Unix tool that {does}. What is its name?",
            "What do you type in a Unix terminal for a command that {does}?",
            "Give the name of the command line program which {does} on Unix.",
        ),
        cases=(
            Case(slots={"does": "changes the permissions of a file"}, reference="chmod"),
            Case(slots={"does": "prints the current working directory"}, reference="pwd"),
            Case(slots={"does": "removes repeated adjacent lines from its input"}, reference="uniq"),
            Case(slots={"does": "shows the last ten lines of a file"}, reference="tail"),
        ),
    ),
    Template(
        name="json_lookup",
        task="code",
        check="contains",
        wording="data is the JSON {data}. What is {path}?",
        paraphrases=(
            "Given data = {data}, give the value of {path}.",
            "Look up {path} where data stands for {data}.",
            "With the JSON document {data} loaded as data, what does {path} return?",
            "Which value does {path} have, if data is {data}?",
            "Read {path} out of this object, called data: {data}",
        ),
        cases=tuple(
            Case(slots={"data": json.dumps(_CONFIG), "path": path}, reference=str(value))
            for path, value in (
                ("data['owner']['people'][1]['id']", 12),
                ("data['name']", "relay"),
                ("max(data['ports']) - data['ports'][-1]", 9090 - 7070),
                ("len(data['owner']['people']) + len(data['ports'])", 2 + 3),
            )
        ),
    ),
    Template(
        name="git_command",
        task="code",
        check="contains",
        wording="Which git subcommand (git ...) {does}?",
        paraphrases=(
            "Name the git subcommand that {does}.",
            "In git, what command {does}?",
            "How is the git command called which {does}?",
            "I use git and want the one that {does}. Which subcommand is it?",
            "What comes after the word git in the command that {does}?",
        ),
        cases=(
            Case(
                slots={"does": "shows which commit last changed each line of a file"},
                reference="blame|annotate",
            ),
            Case(slots={"does": "lists the commits of the current branch"}, reference="log"),
            Case(slots={"does": "finds a bad commit by binary search through history"}, reference="bisect"),
            Case(
                slots={"does": "copies a single commit from another branch onto this one"},
                reference="cherry-pick",
            ),
        ),
    ),
    Template(
        name="python_exception",
        task="code",
        check="label",
        wording="Which exception does this Python code raise?\n{code}",
        paraphrases=(
            "Name the Python exception type raised here:\n{code}",
            "{code}\nThis Python fails. With what exception class?",
            "What type of error will Python report for this code?\n{code}",
            "The Python below stops with an exception. Which one?\n{code}",
            "Give the class name of the exception you get from this Python.\n{code}",
        ),
        cases=tuple(
            Case(slots={"code": code}, reference=f"{_raised(code)}//{_ERRORS}")
            for code in (
                "d = {'a': 1}\nprint(d['b'])",
                "print(1 / 0)",
                "t = (1, 2)\nt.append(3)",
                "a, b = [1, 2, 3]",
            )
        ),
    ),
    Template(
        name="javascript_prints",
        task="code",
        check="contains",
        wording="What does this JavaScript print?\n{code}",
        paraphrases=(
            "Give the console output of this JavaScript:\n{code}",
            "{code}\nWhat is logged by the JavaScript above?",
            "Running the following in Node.js prints what?\n{code}",
            "Work out what this piece of JavaScript writes to the console.\n{code}",
            "Which output does the JavaScript line below produce?\n{code}",
        ),
        cases=(
            Case(slots={"code": "console.log('5' + 3)"}, reference="53"),
            Case(slots={"code": "console.log([1, 2, 3].map(x => x * 2).length + 4)"}, reference="7"),
            Case(slots={"code": "console.log(typeof null)"}, reference="object"),
            Case(slots={"code": "console.log([10, 9, 1].sort().join(''))"}, reference="1109"),
        ),
    ),
)
