"""Short stories with a number in them; every reference is computed from the story's slots."""

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction

from scripts.panel.template import Case, Template

_WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _cases(answer: Callable[..., object], *slots: dict[str, object]) -> tuple[Case, ...]:
    return tuple(Case(slots=one, reference=str(answer(*one.values()))) for one in slots)


def _number(x: Fraction) -> str:
    return str(int(x)) if x.denominator == 1 else str(float(x))


def _clock_after(start: str, minutes: int) -> str:
    hour, minute = map(int, start.split(":"))
    total = hour * 60 + minute + minutes
    return f"{total // 60 % 24:02d}:{total % 60:02d}|{total // 60 % 24}:{total % 60:02d}"


TEMPLATES: tuple[Template, ...] = (
    Template(
        name="simple_total",
        task="word_problem",
        check="number",
        wording="{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?",
        paraphrases=(
            "After receiving {b} {things} on top of {a}, how many {things} does {name} own?",
            "{name} owned {a} {things}. A friend hands over another {b}. What is the new total?",
            "There were {a} {things} in {name}'s box, and {b} were added. Count the {things} now.",
            "Suppose {name} starts with {a} {things} and then gains {b}. How many is that altogether?",
            "{name} collected {a} {things} yesterday and {b} today. How many {things} in all?",
        ),
        cases=_cases(
            lambda name, a, b, things: a + b,
            {"name": "Mira", "a": 14, "b": 9, "things": "marbles"},
            {"name": "Tomas", "a": 128, "b": 76, "things": "stamps"},
            {"name": "Ayo", "a": 5, "b": 4, "things": "pears"},
            {"name": "Lene", "a": 385, "b": 247, "things": "shells"},
        ),
    ),
    Template(
        name="change_from_note",
        task="word_problem",
        check="number",
        wording=(
            "A {thing} costs {price} euros. You buy {n} and pay with {paid} euros. How much change do you "
            "get?"
        ),
        paraphrases=(
            (
                "You hand over {paid} euros for {n} items (each one a {thing} at {price} euros). What comes "
                "back?"
            ),
            (
                "{n} times a {thing} at {price} euros apiece, paid with {paid} euros: how many euros are "
                "returned?"
            ),
            (
                "How many euros of change are due if someone pays {paid} euros for {n} of an item, a "
                "{thing}, priced {price} euros?"
            ),
            (
                "At a shop one {thing} is {price} euros. After buying {n} with {paid} euros, what is your "
                "change?"
            ),
            (
                "Paying {paid} euros, I take {n} pieces; each {thing} is {price} euros. Compute my change in "
                "euros."
            ),
        ),
        cases=_cases(
            lambda thing, price, n, paid: _number(paid - n * Fraction(price)),
            {"thing": "notebook", "price": "2.40", "n": 3, "paid": 10},
            {"thing": "pen", "price": "1.50", "n": 2, "paid": 5},
            {"thing": "ticket", "price": "7.85", "n": 4, "paid": 50},
            {"thing": "mug", "price": "6", "n": 3, "paid": 20},
        ),
    ),
    Template(
        name="clock_arithmetic",
        task="word_problem",
        check="contains",
        wording=(
            "A {event} starts at {start} and lasts {minutes} minutes. At what time (24-hour HH:MM) does it "
            "end?"
        ),
        paraphrases=(
            "When, in 24-hour HH:MM, is a {event} over that begins at {start} and takes {minutes} minutes?",
            (
                "The {event} begins at {start}. {minutes} minutes later it is finished. Give the end as "
                "HH:MM (24h)."
            ),
            (
                "If a {event} of {minutes} minutes opens at {start}, what does the 24-hour clock (HH:MM) "
                "show at its close?"
            ),
            "Add {minutes} minutes to the {start} start of the {event}; which 24-hour time HH:MM results?",
            (
                "Starting time {start}, duration {minutes} minutes: state when the {event} ends, as 24-hour "
                "HH:MM."
            ),
        ),
        cases=_cases(
            lambda event, start, minutes: _clock_after(start, minutes),
            {"event": "concert", "start": "18:45", "minutes": 95},
            {"event": "lesson", "start": "09:00", "minutes": 45},
            {"event": "night train ride", "start": "22:50", "minutes": 200},
            {"event": "film", "start": "14:35", "minutes": 130},
        ),
    ),
    Template(
        name="speed_distance",
        task="word_problem",
        check="number",
        wording="A {vehicle} travels {km} km in {minutes} minutes. What is its average speed in km/h?",
        paraphrases=(
            (
                "What average speed, in km/h, does a {vehicle} have that covers {km} km within {minutes} "
                "minutes?"
            ),
            "It takes a {vehicle} {minutes} minutes to go {km} km. Express its mean speed in km/h.",
            "Compute how many kilometres per hour a {vehicle} makes if {km} km need {minutes} minutes.",
            "In {minutes} minutes a {vehicle} gets {km} km far. How fast is that on average, in km/h?",
            "Distance {km} km, time {minutes} minutes, vehicle: {vehicle}. Find the average km/h.",
        ),
        cases=_cases(
            lambda vehicle, km, minutes: _number(Fraction(km * 60, minutes)),
            {"vehicle": "tram", "km": 18, "minutes": 40},
            {"vehicle": "car", "km": 120, "minutes": 120},
            {"vehicle": "cyclist", "km": 21, "minutes": 70},
            {"vehicle": "ferry", "km": 33, "minutes": 90},
        ),
    ),
    Template(
        name="age_puzzle",
        task="word_problem",
        check="number",
        wording=(
            "{old} is {factor} times as old as {young}. In {years} years their ages will add up to {total}. "
            "How old is {young} now?"
        ),
        paraphrases=(
            (
                "Today {old}'s age is {factor} times {young}'s; {years} years from now they sum to {total}. "
                "Find {young}'s age today."
            ),
            (
                "In {years} years, {old} and {young} will together be {total}. Now {old} is {factor} times "
                "as old. What is {young}'s present age?"
            ),
            (
                "{old}'s age equals {factor} times the age of {young}, and the sum of both after {years} "
                "years is {total}. How many years old is {young} at the moment?"
            ),
            (
                "The ages of {old} and {young} have the ratio {factor} to 1. Once {years} years have passed "
                "their sum is {total}. State {young}'s current age."
            ),
            (
                "How old is {young} at present, if {old} is {factor} times that age and both ages, {years} "
                "years later, total {total}?"
            ),
        ),
        cases=_cases(
            lambda old, young, factor, years, total: _number(Fraction(total - 2 * years, factor + 1)),
            {"old": "Rosa", "young": "Ben", "factor": 3, "years": 5, "total": 58},
            {"old": "Karl", "young": "Ida", "factor": 2, "years": 1, "total": 20},
            {"old": "Nadia", "young": "Sam", "factor": 4, "years": 8, "total": 71},
            {"old": "Otto", "young": "Pia", "factor": 5, "years": 10, "total": 68},
        ),
    ),
    Template(
        name="equal_sharing",
        task="word_problem",
        check="number",
        wording="{n} {things} are shared equally among {k} children. How many are left over?",
        paraphrases=(
            (
                "{k} children split {n} {things} evenly, each getting as many whole ones as possible. What "
                "remains?"
            ),
            "After dealing {n} {things} fairly to {k} children, how many {things} cannot be handed out?",
            "How many {things} remain when {n} of them are divided into {k} equal whole shares for children?",
            "Give {k} children the same number of {things} out of {n}. How many stay in the bag?",
            "There are {n} {things} for {k} children, everyone receives equally many. Count the leftovers.",
        ),
        cases=_cases(
            lambda n, things, k: n % k,
            {"n": 50, "things": "sweets", "k": 8},
            {"n": 13, "things": "cookies", "k": 4},
            {"n": 175, "things": "stickers", "k": 12},
            {"n": 99, "things": "balloons", "k": 7},
        ),
    ),
    Template(
        name="discount_price",
        task="word_problem",
        check="number",
        wording="A {item} costs {price} dollars. It is reduced by {p}%. What is the new price in dollars?",
        paraphrases=(
            "What do you pay, in dollars, for a {item} of {price} dollars with {p}% off?",
            (
                "The {item}, normally {price} dollars, is sold at a {p}% discount. Find the sale price in "
                "dollars."
            ),
            "With a rebate of {p} percent on {price} dollars, how many dollars does the {item} cost now?",
            "Take {p}% off the {price} dollar price of a {item}. What price in dollars remains?",
            "How many dollars is a {item} after its price of {price} dollars has dropped by {p} percent?",
        ),
        cases=_cases(
            lambda item, price, p: _number(Fraction(price * (100 - p), 100)),
            {"item": "jacket", "price": 80, "p": 15},
            {"item": "lamp", "price": 60, "p": 50},
            {"item": "bicycle", "price": 450, "p": 18},
            {"item": "chair", "price": 120, "p": 25},
        ),
    ),
    Template(
        name="two_changes_in_price",
        task="word_problem",
        check="number",
        wording=(
            "A price of {price} euros first rises by {up}% and then falls by {down}%. What is the final "
            "price in euros?"
        ),
        paraphrases=(
            (
                "Starting at {price} euros, a price goes up {up}% and afterwards down {down}%. Where does it "
                "end?"
            ),
            (
                "An article costs {price} euros. The shop adds {up} percent, later cuts {down} percent of "
                "the new price. How many euros is it then?"
            ),
            "Increase {price} euros by {up}%, then decrease the result by {down}%. How many euros remain?",
            "What is {price} euros worth after a {up}% increase followed by a {down}% decrease?",
            "Find the price in euros after two steps: {price} euros plus {up}%, and then minus {down}%.",
        ),
        cases=_cases(
            lambda price, up, down: _number(Fraction(price * (100 + up) * (100 - down), 10_000)),
            {"price": 200, "up": 10, "down": 10},
            {"price": 100, "up": 50, "down": 20},
            {"price": 400, "up": 25, "down": 30},
            {"price": 80, "up": 20, "down": 5},
        ),
    ),
    Template(
        name="mixture",
        task="word_problem",
        check="number",
        wording=(
            "{a} litres of a {pa}% {what} solution are mixed with {b} litres of a {pb}% one. What percentage "
            "of {what} does the mixture have?"
        ),
        paraphrases=(
            (
                "Pour {a} l of {pa}% {what} solution and {b} l of {pb}% {what} solution together. How strong "
                "is it, in percent?"
            ),
            "Find the {what} concentration in percent when {a} litres at {pa}% meet {b} litres at {pb}%.",
            (
                "Two {what} solutions are combined: {a} litres with {pa}% and {b} litres with {pb}%. Give "
                "the percent of the blend."
            ),
            (
                "If {a} litres contain {pa}% {what} and {b} litres contain {pb}%, what percent {what} is in "
                "the whole?"
            ),
            (
                "A tank gets {a} litres of {what} solution ({pa}%) and {b} litres ({pb}%). State the "
                "resulting percentage."
            ),
        ),
        cases=_cases(
            lambda a, pa, b, pb, what: _number(Fraction(a * pa + b * pb, a + b)),
            {"a": 3, "pa": 10, "b": 2, "pb": 30, "what": "salt"},
            {"a": 1, "pa": 20, "b": 1, "pb": 40, "what": "sugar"},
            {"a": 6, "pa": 5, "b": 4, "pb": 50, "what": "acid"},
            {"a": 8, "pa": 25, "b": 2, "pb": 0, "what": "alcohol"},
        ),
    ),
    Template(
        name="weekday_after",
        task="word_problem",
        check="label",
        wording="Today is {day}. Which day of the week will it be in {n} days?",
        paraphrases=(
            "If it is {day} now, what weekday comes {n} days later?",
            "Count {n} days on from a {day}. Which weekday do you land on?",
            "{n} days after a {day}, which day of the week is it?",
            "Name the weekday that falls {n} days from today, given that today is {day}.",
            "A parcel sent on a {day} arrives exactly {n} days later. On which weekday does it arrive?",
        ),
        cases=_cases(
            lambda day, n: (
                # 1 January 2024 was a Monday.
                f"{date(2024, 1, 1 + _WEEK.index(day)) + timedelta(n):%A}//{','.join(_WEEK)}"
            ),
            {"day": "Tuesday", "n": 10},
            {"day": "Friday", "n": 3},
            {"day": "Sunday", "n": 100},
            {"day": "Wednesday", "n": 45},
        ),
    ),
    Template(
        name="days_between",
        task="word_problem",
        check="number",
        wording="How many days after {first} is {second} of the same year (not a leap year)?",
        paraphrases=(
            "In a year without 29 February, how many days pass from {first} to {second}?",
            "A non-leap year: count the days from {first} until {second}.",
            (
                "{first} is today; {second} is a date later this year, which is no leap year. How many days "
                "away is it?"
            ),
            "Find the number of days separating {first} and {second} within one common (365-day) year.",
            "Someone waits from {first} to {second} in a year of 365 days. How many days is the wait?",
        ),
        cases=tuple(
            Case(
                slots={"first": f"{a.day} {a:%B}", "second": f"{b.day} {b:%B}"},
                reference=str((b - a).days),
            )
            for a, b in (
                (date(2023, 3, 20), date(2023, 5, 4)),
                (date(2023, 6, 3), date(2023, 6, 19)),
                (date(2023, 1, 25), date(2023, 3, 8)),
                (date(2023, 9, 10), date(2023, 12, 24)),
            )
        ),
    ),
    Template(
        name="work_together",
        task="word_problem",
        check="number",
        wording=(
            "One {worker} needs {a} hours for a job, another needs {b} hours. How many hours do they need "
            "working together?"
        ),
        paraphrases=(
            "A job takes the first {worker} {a} hours and the second {b} hours. How many hours as a team?",
            (
                "Together, how many hours do two of them (each a {worker}) take, if alone they take {a} and "
                "{b} hours?"
            ),
            (
                "Alone, {worker} number one finishes in {a} hours, number two in {b}. Find the hours when "
                "both work."
            ),
            (
                "Working at once, a {worker} who needs {a} hours and one who needs {b} hours are done after "
                "how many hours?"
            ),
            (
                "How long in hours does the job last when a {a}-hour {worker} and a {b}-hour {worker} join "
                "forces?"
            ),
        ),
        cases=_cases(
            lambda worker, a, b: _number(Fraction(a * b, a + b)),
            {"worker": "painter", "a": 6, "b": 3},
            {"worker": "gardener", "a": 4, "b": 4},
            {"worker": "pump", "a": 20, "b": 5},
            {"worker": "printer", "a": 12, "b": 4},
        ),
    ),
    Template(
        name="recipe_scaling",
        task="word_problem",
        check="number",
        wording="A recipe for {a} people needs {g} g of {what}. How many grams are needed for {b} people?",
        paraphrases=(
            "{g} g of {what} serve {a} people. How many grams serve {b}?",
            "To cook for {b} instead of {a} people, how much {what} in grams replaces the usual {g} g?",
            "If {a} portions take {g} grams of {what}, what do {b} portions take, in grams?",
            "Scale {g} g of {what} from {a} persons to {b} persons. How many grams is that?",
            "For {a} guests I use {g} grams of {what}; now {b} guests come. How many grams should I use?",
        ),
        cases=_cases(
            lambda a, g, what, b: _number(Fraction(g * b, a)),
            {"a": 4, "g": 300, "what": "rice", "b": 6},
            {"a": 2, "g": 150, "what": "flour", "b": 4},
            {"a": 6, "g": 420, "what": "pasta", "b": 11},
            {"a": 8, "g": 500, "what": "butter", "b": 3},
        ),
    ),
    Template(
        name="rectangle_fence",
        task="word_problem",
        check="number",
        wording=(
            "A rectangular {place} is {a} m long and {b} m wide. A fence goes all around it except for a "
            "{gate} m gate. How many metres of fence are needed?"
        ),
        paraphrases=(
            "How many metres of fence enclose a {a} m by {b} m {place} if {gate} m stay open as a gate?",
            (
                "Fence in a {place} of length {a} m and width {b} m, leaving {gate} m for the gate. Find the "
                "fence length in metres."
            ),
            (
                "The {place} measures {a} m x {b} m. Its whole edge is fenced apart from a gate of {gate} m. "
                "How many metres is the fence?"
            ),
            (
                "A gate {gate} m wide needs no fence; the rest of the border of the {a} m by {b} m {place} "
                "does. How many metres is that?"
            ),
            (
                "Compute the metres of fence for a rectangle ({place}, {a} m times {b} m) with a gap of "
                "{gate} m."
            ),
        ),
        cases=_cases(
            lambda place, a, b, gate: 2 * (a + b) - gate,
            {"place": "garden", "a": 24, "b": 15, "gate": 3},
            {"place": "yard", "a": 10, "b": 5, "gate": 2},
            {"place": "field", "a": 135, "b": 68, "gate": 6},
            {"place": "pen", "a": 9, "b": 9, "gate": 1},
        ),
    ),
    Template(
        name="shopping_list",
        task="word_problem",
        check="number",
        wording=(
            "{name} buys {n1} apples at {c1} cents each and {n2} pears at {c2} cents each, and uses a coupon "
            "worth {off} cents. How many cents does {name} pay?"
        ),
        paraphrases=(
            (
                "What does {name} pay in cents for {n1} apples ({c1} cents each) and {n2} pears ({c2} cents "
                "each) less a {off} cent coupon?"
            ),
            (
                "An apple is {c1} cents and a pear {c2} cents. {name} takes {n1} apples and {n2} pears; "
                "{off} cents are deducted. Find the cents due."
            ),
            (
                "With a coupon for {off} cents, {name} gets {n1} apples at {c1} cents and {n2} pears at {c2} "
                "cents. How many cents is the bill?"
            ),
            (
                "{name}'s basket: {n1} apples, {c1} cents apiece; {n2} pears, {c2} cents apiece; coupon "
                "minus {off} cents. Total in cents?"
            ),
            (
                "How many cents leave {name}'s purse for {n1} apples costing {c1} cents and {n2} pears "
                "costing {c2} cents each, after {off} cents off?"
            ),
        ),
        cases=_cases(
            lambda name, n1, c1, n2, c2, off: n1 * c1 + n2 * c2 - off,
            {"name": "Jun", "n1": 6, "c1": 45, "n2": 4, "c2": 60, "off": 50},
            {"name": "Vera", "n1": 2, "c1": 50, "n2": 1, "c2": 70, "off": 20},
            {"name": "Emil", "n1": 9, "c1": 38, "n2": 7, "c2": 54, "off": 125},
            {"name": "Zoe", "n1": 3, "c1": 40, "n2": 5, "c2": 30, "off": 35},
        ),
    ),
    Template(
        name="heads_and_legs",
        task="word_problem",
        check="number",
        wording=(
            "A farm has only chickens and {animals}: {heads} heads and {legs} legs in total. How many "
            "chickens are there?"
        ),
        paraphrases=(
            (
                "Chickens and {animals} together have {heads} heads and {legs} legs. Find the number of "
                "chickens."
            ),
            (
                "Among {heads} animals, all chickens or {animals}, one counts {legs} legs. How many are "
                "chickens?"
            ),
            (
                "{legs} legs and {heads} heads are seen in a barn with chickens and {animals}. How many "
                "chickens does it hold?"
            ),
            (
                "How many chickens live on a farm where chickens plus {animals} make {heads} heads and "
                "{legs} legs?"
            ),
            (
                "If chickens (two legs) and {animals} (four legs) number {heads} and have {legs} legs, how "
                "many are chickens?"
            ),
        ),
        cases=_cases(
            lambda animals, heads, legs: (4 * heads - legs) // 2,
            {"animals": "goats", "heads": 20, "legs": 56},
            {"animals": "cows", "heads": 5, "legs": 14},
            {"animals": "sheep", "heads": 47, "legs": 142},
            {"animals": "rabbits", "heads": 30, "legs": 92},
        ),
    ),
    Template(
        name="handshakes",
        task="word_problem",
        check="number",
        wording=(
            "{n} {people} meet and each one {act} every other one exactly once. How many {events} is that?"
        ),
        paraphrases=(
            "In a group of {n} {people} everybody {act} everybody else once. Count the {events}.",
            "How many {events} take place if each of {n} {people} {act} each of the others one time?",
            "Every pair among {n} {people} has one encounter, in which one {act} the other. Total {events}?",
            (
                "{n} {people}: any two of them are paired once, so each {act} all others. How many {events} "
                "result?"
            ),
            "Find the number of {events} when each one of {n} {people} {act} all of the rest a single time.",
        ),
        cases=_cases(
            lambda n, people, act, events: n * (n - 1) // 2,
            {"n": 8, "people": "guests", "act": "shakes hands with", "events": "handshakes"},
            {"n": 4, "people": "chess players", "act": "plays", "events": "games"},
            {"n": 15, "people": "colleagues", "act": "shakes hands with", "events": "handshakes"},
            {"n": 11, "people": "teams", "act": "plays against", "events": "matches"},
        ),
    ),
    Template(
        name="book_pages",
        task="word_problem",
        check="number",
        wording=(
            "{name} reads {a} pages a day of a {total}-page book for {d} days, then {b} pages a day. How "
            "many days does the whole book take?"
        ),
        paraphrases=(
            (
                "A book has {total} pages. {name} manages {a} daily for {d} days and {b} daily after that. "
                "In how many days is it finished?"
            ),
            (
                "First {d} days: {a} pages each. Later days: {b} pages each. How many days does {name} need "
                "for {total} pages?"
            ),
            (
                "How many days in total does {name} spend on {total} pages, with {a} pages on each of the "
                "first {d} days and {b} on each further day?"
            ),
            (
                "{name} starts a {total}-page novel at {a} pages per day, and after {d} days switches to {b} "
                "pages per day. Count all reading days."
            ),
            (
                "To get through {total} pages {name} reads {a} per day during {d} days, from then on {b} per "
                "day. Total number of days?"
            ),
        ),
        cases=_cases(
            lambda name, a, total, d, b: d - (a * d - total) // b,
            {"name": "Hana", "a": 20, "total": 300, "d": 6, "b": 30},
            {"name": "Leo", "a": 10, "total": 100, "d": 5, "b": 25},
            {"name": "Marta", "a": 18, "total": 371, "d": 7, "b": 35},
            {"name": "Ivan", "a": 32, "total": 480, "d": 4, "b": 40},
        ),
    ),
    Template(
        name="three_siblings",
        task="word_problem",
        check="number",
        wording=(
            "{x} has {a} more cards than {y}, and {y} has {b} times as many as {z}. {z} has {c} cards. How "
            "many cards do the three have together?"
        ),
        paraphrases=(
            (
                "{z} owns {c} cards, {y} owns {b} times that number, and {x} owns {a} more than {y}. Find "
                "the total."
            ),
            (
                "How many cards are there in all if {z} has {c}, {y} has {b} times as many as {z}, and {x} "
                "exceeds {y} by {a}?"
            ),
            "Add up the cards: {z} with {c}; {y} with {b} times {z}'s; {x} with {a} more than {y}.",
            (
                "{y}'s cards number {b} times {z}'s {c}. {x} has {a} cards more than {y}. What do all three "
                "hold?"
            ),
            (
                "Three friends collect cards. {z} has {c}. {y} has {b} times this. {x} beats {y} by {a}. "
                "Total cards?"
            ),
        ),
        cases=_cases(
            lambda x, y, z, a, b, c: (b * c + a) + b * c + c,
            {"x": "Ana", "y": "Bo", "z": "Cem", "a": 7, "b": 3, "c": 12},
            {"x": "Dan", "y": "Eva", "z": "Finn", "a": 1, "b": 2, "c": 4},
            {"x": "Gil", "y": "Hugo", "z": "Iris", "a": 19, "b": 4, "c": 26},
            {"x": "Jan", "y": "Kim", "z": "Lou", "a": 5, "b": 2, "c": 15},
        ),
    ),
    Template(
        name="club_overlap",
        task="word_problem",
        check="number",
        wording=(
            "In a class of {n}, {a} pupils play {p} and {b} play {q}; {both} play both. How many pupils play "
            "neither?"
        ),
        paraphrases=(
            "Of {n} pupils, {a} do {p}, {b} do {q} and {both} do both. How many do none of the two?",
            (
                "A class counts {n} pupils: {p} {a}, {q} {b}, both {both}. Find how many play neither {p} "
                "nor {q}."
            ),
            (
                "How many of the {n} pupils are in no group, if {a} play {p}, {b} play {q} and {both} of "
                "them play the two?"
            ),
            (
                "{both} pupils play {p} as well as {q}, {a} play {p} altogether and {b} play {q} altogether. "
                "Out of {n}, how many play nothing?"
            ),
            (
                "{n} pupils were asked: {a} said {p}, {b} said {q}, {both} of these said both. How many said "
                "neither?"
            ),
        ),
        cases=_cases(
            lambda n, a, p, b, q, both: n - (a + b - both),
            {"n": 30, "a": 14, "p": "football", "b": 11, "q": "tennis", "both": 5},
            {"n": 20, "a": 8, "p": "chess", "b": 6, "q": "cards", "both": 0},
            {"n": 28, "a": 17, "p": "piano", "b": 9, "q": "violin", "both": 4},
            {"n": 120, "a": 65, "p": "handball", "b": 48, "q": "hockey", "both": 17},
        ),
    ),
)
