"""Instructions whose answer is judged by its form as much as by its content."""

import json
from collections.abc import Callable
from datetime import date

from scripts.panel.template import Case, Template


def _cases(answer: Callable[..., str], *slots: dict[str, object]) -> tuple[Case, ...]:
    return tuple(Case(slots=one, reference=answer(*one.values())) for one in slots)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


TEMPLATES: tuple[Template, ...] = (
    Template(
        name="json_object",
        task="format",
        check="json",
        wording="Write a JSON object with the keys {k1}, {k2} and {k3} for this: {v1}, {v2}, {v3}. {note}",
        paraphrases=(
            "As a JSON object with keys {k1}, {k2}, {k3}, express: {v1}, {v2}, {v3}. {note}",
            "Turn {v1}, {v2}, {v3} into JSON; the keys are {k1}, {k2} and {k3}, in this order. {note}",
            "Put the values {v1}, {v2}, {v3} under the keys {k1}, {k2}, {k3} of one JSON object. {note}",
            "Make JSON from these three values - {v1}, {v2}, {v3} - named {k1}, {k2} and {k3}. {note}",
            "{note} Produce a JSON object: {k1}, {k2}, {k3} are the keys, {v1}, {v2}, {v3} the values.",
        ),
        cases=_cases(
            lambda k1, k2, k3, v1, v2, v3, note: json.dumps({k1: v1, k2: v2, k3: v3}),
            {
                "k1": "city",
                "k2": "population",
                "k3": "coastal",
                "v1": "Turku",
                "v2": 195000,
                "v3": True,
                "note": "The population is a number and coastal a boolean.",
            },
            {
                "k1": "name",
                "k2": "age",
                "k3": "job",
                "v1": "Lena",
                "v2": 34,
                "v3": "baker",
                "note": "The age is a number.",
            },
            {
                "k1": "sku",
                "k2": "price",
                "k3": "discontinued",
                "v1": "0042",
                "v2": 9.5,
                "v3": False,
                "note": "The sku is a string, the price a number, discontinued a boolean.",
            },
            {
                "k1": "title",
                "k2": "year",
                "k3": "rating",
                "v1": "Low Tide",
                "v2": 1998,
                "v3": 7.5,
                "note": "The year and the rating are numbers.",
            },
        ),
    ),
    Template(
        name="sort_words",
        task="format",
        check="verbatim",
        wording="Sort these words alphabetically and separate them by a comma and a space: {words}",
        paraphrases=(
            "Put {words} in alphabetical order, joined by a comma and a space.",
            "Write the words {words} from A to Z on one line, with a comma and a space between them.",
            "Give an alphabetical list, comma and space between entries, of: {words}",
            "Arrange alphabetically: {words}. Use a comma followed by a space as separator.",
            "In dictionary order, separated by a comma plus a space, list {words}.",
        ),
        cases=_cases(
            lambda words: ", ".join(sorted(words.split())),
            {"words": "plum kiwi fig mango apple"},
            {"words": "dog cat bird"},
            {"words": "stone stove stork storm stool store"},
            {"words": "river canal lake delta"},
        ),
    ),
    Template(
        name="change_case",
        task="format",
        check="verbatim",
        wording="Write this in {case}: {text}",
        paraphrases=(
            "Convert to {case}: {text}",
            "Rewrite the following using {case}: {text}",
            "How does this look in {case}? {text}",
            "Take the text below and put it in {case}.\n{text}",
            "{text}\nRepeat the line above in {case}.",
        ),
        cases=(
            Case(
                slots={"case": "capital letters only", "text": "quiet harbour at dawn"},
                reference="QUIET HARBOUR AT DAWN",
            ),
            Case(slots={"case": "capital letters only", "text": "open door"}, reference="OPEN DOOR"),
            Case(
                slots={"case": "lower case letters only", "text": "The Old MILL by Ryde"},
                reference="the old mill by ryde",
            ),
            Case(
                slots={
                    "case": "title case, each word starting with a capital",
                    "text": "green boats sail north",
                },
                reference="Green Boats Sail North",
            ),
        ),
    ),
    Template(
        name="exact_word_count",
        task="format",
        check="words",
        wording="Describe {thing} in exactly {n} words.",
        paraphrases=(
            "Using exactly {n} words, describe {thing}.",
            "Write {n} words, no more and no fewer, about {thing}.",
            "Give a description of {thing} that has exactly {n} words.",
            "Your text about {thing} must consist of precisely {n} words.",
            "Say something about {thing}; the length has to be {n} words exactly.",
        ),
        cases=_cases(
            lambda thing, n: str(n),
            {"thing": "the sea", "n": 5},
            {"thing": "a cat", "n": 1},
            {"thing": "a rainy Monday morning", "n": 9},
            {"thing": "fresh bread", "n": 3},
        ),
    ),
    Template(
        name="reverse_word",
        task="format",
        check="exact",
        wording="Spell the word {word} backwards.",
        paraphrases=(
            "Reverse the letters of {word}.",
            "What is {word} written from right to left?",
            "Write {word} in reverse.",
            "Take the word {word} and give its letters in the opposite order, as one word.",
            "If you read {word} from its last letter to its first, which string results?",
        ),
        cases=_cases(
            lambda word: word[::-1],
            {"word": "planet"},
            {"word": "dog"},
            {"word": "keyboard"},
            {"word": "salt"},
        ),
    ),
    Template(
        name="count_letter",
        task="format",
        check="number",
        wording="How many times does the letter {letter} occur in {word}?",
        paraphrases=(
            "Count the letter {letter} in the word {word}.",
            "In {word}, how often do you find the letter {letter}?",
            "The word {word} contains the letter {letter} how many times?",
            "What is the number of {letter}'s in {word}?",
            "Go through {word} letter by letter: how many are {letter}?",
        ),
        cases=_cases(
            lambda letter, word: str(word.count(letter)),
            {"letter": "e", "word": "nevertheless"},
            {"letter": "o", "word": "moon"},
            {"letter": "s", "word": "possessiveness"},
            {"letter": "t", "word": "attention"},
        ),
    ),
    Template(
        name="iso_date",
        task="format",
        check="contains",
        wording="Write {day} as an ISO 8601 date (YYYY-MM-DD).",
        paraphrases=(
            "Convert {day} to the form YYYY-MM-DD.",
            "What is {day} in ISO 8601 date format?",
            "Give the ISO date (year-month-day, with hyphens) for {day}.",
            "Rewrite the date {day} in the YYYY-MM-DD style.",
            "{day}: express it as YYYY-MM-DD.",
        ),
        cases=(
            Case(slots={"day": "7 March 2021"}, reference=date(2021, 3, 7).isoformat()),
            Case(slots={"day": "December 25, 2019"}, reference=date(2019, 12, 25).isoformat()),
            Case(slots={"day": "the last day of February 2024"}, reference=date(2024, 2, 29).isoformat()),
            Case(slots={"day": "Sept. 3rd, 1987"}, reference=date(1987, 9, 3).isoformat()),
        ),
    ),
    Template(
        name="acronym",
        task="format",
        check="exact",
        wording="Form the acronym from the first letter of each word: {phrase}",
        paraphrases=(
            "Which acronym do the initial letters of {phrase} make?",
            "Take the first letter of every word in {phrase} and join them.",
            "Abbreviate {phrase} by its initials, without dots or spaces.",
            "Write only the initials of all the words in {phrase}, as one acronym.",
            "Shorten {phrase} to an acronym that uses the first letter of all its words.",
        ),
        cases=_cases(
            lambda phrase: "".join(word[0] for word in phrase.split()).upper(),
            {"phrase": "Northern Lake Rowing Association"},
            {"phrase": "Open Data Club"},
            {"phrase": "Joint Office for Urban Tree and River Care"},
            {"phrase": "Young Engineers Summer School"},
        ),
    ),
    Template(
        name="csv_line",
        task="format",
        check="verbatim",
        wording="Write one CSV line without spaces around the commas, in the order {order}: {facts}",
        paraphrases=(
            "Turn this into a single CSV row ({order}; no blanks next to commas): {facts}",
            "As one line of CSV with the columns {order} and no spaces after commas: {facts}",
            "Columns: {order}. Give the CSV record, without a header and without extra spaces, for: {facts}",
            "{facts} - make it one comma-separated line ordered {order}, no spaces beside the commas.",
            "Produce just the CSV data row, fields {order}, commas without spaces: {facts}",
        ),
        cases=(
            Case(
                slots={"order": "name, age, city", "facts": "Omar lives in Lund and is 41 years old."},
                reference="Omar,41,Lund",
            ),
            Case(
                slots={"order": "item, price", "facts": "The item is tea and the price is 4."},
                reference="tea,4",
            ),
            Case(
                slots={
                    "order": "to, from, minutes, platform",
                    "facts": "The train from Graz leaves platform 6 and reaches Linz 215 minutes later.",
                },
                reference="Linz,Graz,215,6",
            ),
            Case(
                slots={"order": "colour, wheels, make", "facts": "A Volvo with 4 wheels, painted red."},
                reference="red,4,Volvo",
            ),
        ),
    ),
    Template(
        name="yes_or_no",
        task="format",
        check="verbatim",
        wording="{question} Reply with the single lower-case word yes or no, without a full stop.",
        paraphrases=(
            "Use just one word, yes or no, in lower case and with no punctuation: {question}",
            "{question} Say yes or no - lower case, one word, no full stop.",
            "With a bare yes or no (small letters, no punctuation), reply to this: {question}",
            "{question} Allowed replies: yes, no. Lower case, nothing else.",
            "Reply yes or no in lower case, adding no other character. {question}",
        ),
        cases=(
            Case(slots={"question": "Is a tomato plant able to live without any light?"}, reference="no"),
            Case(slots={"question": "Is ice colder than boiling water?"}, reference="yes"),
            Case(slots={"question": "Is every square a rectangle?"}, reference="yes"),
            Case(slots={"question": "Does a spider have six legs?"}, reference="no"),
        ),
    ),
    Template(
        name="bullet_list",
        task="format",
        check="verbatim",
        wording="Write {items} as a Markdown list, one item per line, each line starting with '{mark} '.",
        paraphrases=(
            "Make a Markdown list of {items}; every line begins with '{mark} '.",
            "List {items} in Markdown, each on its own line after '{mark} '.",
            "Format these as Markdown bullets with '{mark} ' in front of each, one per line: {items}",
            "One per line and with '{mark} ' before it, give the Markdown list of {items}.",
            "Turn {items} into Markdown bullets. Bullet sign: '{mark} '. One line for each.",
        ),
        cases=_cases(
            lambda items, mark: "\n".join(f"{mark} {item}" for item in items.split(", ")),
            {"items": "rope, lamp, map", "mark": "-"},
            {"items": "salt, oil", "mark": "-"},
            {"items": "tin, zinc, lead, iron", "mark": "+"},
            {"items": "north, south, east", "mark": "-"},
        ),
    ),
    Template(
        name="to_snake_case",
        task="format",
        check="verbatim",
        wording="Convert the name {name} to snake_case.",
        paraphrases=(
            "What is {name} in snake_case?",
            "Rewrite the identifier {name} in snake case.",
            "Give the snake_case form of {name}.",
            "{name} should follow the snake_case convention. Write it so.",
            "Turn {name} into lower-case words joined by underscores.",
        ),
        cases=_cases(
            _snake,
            {"name": "maxRetryCount"},
            {"name": "userName"},
            {"name": "LastSeenAtUtcTimestamp"},
            {"name": "OrderLineItem"},
        ),
    ),
    Template(
        name="replace_letter",
        task="format",
        check="exact",
        wording="Replace every {old} by {new} in the word {word}.",
        paraphrases=(
            "In {word}, change each {old} to {new}. What is the result?",
            "Write {word} with {new} in place of every {old}.",
            "Swap all letters {old} in {word} for {new}.",
            "What does {word} become when each letter {old} turns into {new}?",
            "Take {word} and substitute {new} wherever there is {old}.",
        ),
        cases=_cases(
            lambda old, new, word: word.replace(old, new),
            {"old": "a", "new": "u", "word": "banana"},
            {"old": "t", "new": "p", "word": "cat"},
            {"old": "i", "new": "o", "word": "divisibility"},
            {"old": "l", "new": "r", "word": "parallel"},
        ),
    ),
    Template(
        name="json_array",
        task="format",
        check="json",
        wording="Give a JSON array with {what}, in {order} order: {numbers}",
        paraphrases=(
            "From {numbers}, return {what} as a JSON array in {order} order.",
            "As a JSON array ({order} order), list {what} among {numbers}.",
            "Make a JSON array in {order} order that holds {what} out of {numbers}.",
            "Take {numbers}; keep {what}; write them as a JSON array in {order} order.",
            "Which numbers remain if you keep {what} of {numbers}? Use a JSON array, {order} order.",
        ),
        cases=(
            Case(
                slots={"what": "the even numbers", "order": "ascending", "numbers": "15, 8, 22, 7, 4"},
                reference="[4, 8, 22]",
            ),
            Case(
                slots={"what": "all the numbers", "order": "the given", "numbers": "3, 1, 2"},
                reference="[3, 1, 2]",
            ),
            Case(
                slots={
                    "what": "the multiples of 3",
                    "order": "descending",
                    "numbers": "14, 27, 5, 33, 40, 9, 51",
                },
                reference="[51, 33, 27, 9]",
            ),
            Case(
                slots={"what": "the numbers above 10", "order": "descending", "numbers": "12, 4, 31, 10, 19"},
                reference="[31, 19, 12]",
            ),
        ),
    ),
    Template(
        name="nth_word",
        task="format",
        check="exact",
        wording="What is the {nth} word of this sentence? {sentence}",
        paraphrases=(
            "Give the {nth} word in: {sentence}",
            "{sentence} Which word of that sentence is the {nth} one?",
            "Counting words from the left, which is the {nth} in the following? {sentence}",
            "Pick out the {nth} word from the sentence below.\n{sentence}",
            "Name just the word at the {nth} position here: {sentence}",
        ),
        cases=(
            Case(
                slots={"nth": "fourth", "sentence": "Seven small boats drifted past the lighthouse."},
                reference="drifted",
            ),
            Case(slots={"nth": "first", "sentence": "Rain fell all night."}, reference="Rain"),
            Case(
                slots={
                    "nth": "ninth",
                    "sentence": "On cold evenings my neighbour reads old travel stories aloud to us.",
                },
                reference="aloud",
            ),
            Case(
                slots={
                    "nth": "second to last",
                    "sentence": "The clock above our kitchen door stopped yesterday.",
                },
                reference="stopped",
            ),
        ),
    ),
)
