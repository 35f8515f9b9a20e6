"""Pull one thing out of a short, messy text that the question itself carries."""

from scripts.panel.template import Case, Template

TEMPLATES: tuple[Template, ...] = (
    Template(
        name="extract_meeting_date",
        task="extraction",
        check="contains",
        wording='On which day and month does the meeting now take place? Message: "{text}"',
        paraphrases=(
            'Message: "{text}" Give the day and month on which the meeting will finally be held.',
            'Read this note and tell me the date of the meeting as it stands now. "{text}"',
            'Here is a message: "{text}" What is the current date (day and month) of the meeting?',
            'Find the final meeting date in the following message. "{text}"',
            'When, by day and month, is the meeting going to happen according to this? "{text}"',
        ),
        cases=(
            Case(
                {"text": "hi all, the 4 March slot is gone, so we meet on 11 March instead. ok?"},
                "11 March|11th of March|March 11|11th March|March 11th|11 of March",
            ),
            Case(
                {"text": "Reminder: team meeting, 23 June, room B. Bring the draft."},
                "23 June|June 23|23rd of June|23rd June|June 23rd|23 of June",
            ),
            Case(
                {
                    "text": "Planned for 2 May, then moved to 9 May; Olga cannot, so one week later "
                    "than that. Final!"
                },
                "16 May|May 16|16th of May|16th May|May 16th|16 of May",
            ),
            Case(
                {
                    "text": "Ignore my mail about 30 Sept. The client rang: it is 28 September after "
                    "all, and the dinner is on the 30th."
                },
                "28 September|September 28|28th of September|28th September|September 28th|28 Sept|Sept 28",
            ),
        ),
    ),
    Template(
        name="extract_amount_due",
        task="extraction",
        check="number",
        wording='How much does the customer still have to pay? Invoice text: "{text}"',
        paraphrases=(
            'Invoice text: "{text}" What sum is left for the customer to pay?',
            'Tell me the outstanding amount on this invoice. "{text}"',
            'From the invoice "{text}", what does the customer still owe?',
            'Work out the open balance in the following invoice note. "{text}"',
            'What is the remaining amount the customer owes, going by this invoice? "{text}"',
        ),
        cases=(
            Case(
                {"text": "Total 480.00 EUR, deposit received 120.00 EUR, balance to be paid in May."}, "360"
            ),
            Case({"text": "inv. 8831 / net 75.00 / tax 15.00 / AMOUNT DUE 90.00 / thank you"}, "90"),
            Case({"text": "2 x desk lamp at 34.50, shipping 6.00, voucher -10.00, nothing paid yet"}, "65"),
            Case(
                {"text": "Order 1,250.00 USD. Paid: 400.00 on 3 Jan, 350.00 on 9 Feb; refund pending: none."},
                "500",
            ),
        ),
    ),
    Template(
        name="extract_email",
        task="extraction",
        check="contains",
        wording='Which e-mail address should be used for {purpose}? Text: "{text}"',
        paraphrases=(
            'Text: "{text}" Give the e-mail address meant for {purpose}.',
            'For {purpose}, to what e-mail address does one write, according to "{text}"?',
            'Find the e-mail address for {purpose} in this text: "{text}"',
            'I need the address to mail about {purpose}. Here is the text: "{text}"',
            'Look at "{text}" and name the e-mail address that handles {purpose}.',
        ),
        cases=(
            Case(
                {
                    "purpose": "returns",
                    "text": "Sales: sales@norrby.example. Returns go to back@norrby.example, not to sales!",
                },
                "back@norrby.example",
            ),
            Case(
                {"purpose": "job applications", "text": "Send your CV to jobs@tilmo.example by Friday."},
                "jobs@tilmo.example",
            ),
            Case(
                {
                    "purpose": "press questions",
                    "text": "press@ is closed. Journalists: mara.lind@okra.example; "
                    "everybody else: hello@okra.example",
                },
                "mara.lind@okra.example",
            ),
            Case(
                {
                    "purpose": "billing",
                    "text": "Ann (ann@vell.example) does support, Bo (bo@vell.example) did billing until "
                    "June; Cy (cy@vell.example) took over from Bo.",
                },
                "cy@vell.example",
            ),
        ),
    ),
    Template(
        name="extract_order_number",
        task="extraction",
        check="contains",
        wording='What is the number of the order that {condition}? "{text}"',
        paraphrases=(
            '"{text}" Which order number belongs to the order that {condition}?',
            'Give me the order number of the one that {condition}: "{text}"',
            'In the text "{text}", find the order that {condition} and state its number.',
            'One order {condition}. What is its number? Text: "{text}"',
            'From this message, pick out the number of the order that {condition}. "{text}"',
        ),
        cases=(
            Case(
                {
                    "condition": "arrived broken",
                    "text": "Order K-2207 came on time, but K-2270 arrived in pieces, fix this pls",
                },
                "K-2270",
            ),
            Case(
                {"condition": "is missing", "text": "where is my order?? number 551903, paid last week"},
                "551903",
            ),
            Case(
                {
                    "condition": "should be cancelled",
                    "text": "A-118 is fine, keep A-181 too, drop A-811. My customer no. is A-188.",
                },
                "A-811",
            ),
            Case(
                {
                    "condition": "has not been paid",
                    "text": "Invoices for 3041, 3042 and 3044 are settled; of 3041 to 3044 one is still "
                    "open.",
                },
                "3043",
            ),
        ),
    ),
    Template(
        name="extract_destination_city",
        task="extraction",
        check="contains",
        wording='In which city does the traveller\'s journey end? "{text}"',
        paraphrases=(
            '"{text}" What is the final city of this journey?',
            'Name the city where this trip finishes: "{text}"',
            'Read the travel note and say which city is the last stop. "{text}"',
            'Going by "{text}", what city does the traveller end up in?',
            'Find the end point (a city) of the journey described here: "{text}"',
        ),
        cases=(
            Case(
                {
                    "text": "Leaving Porto at 7, change in Madrid, two hours in Lyon, then on to Basel to "
                    "stay."
                },
                "Basel",
            ),
            Case({"text": "Flight from Oslo to Rome, 14:20, seat 9A."}, "Rome"),
            Case(
                {"text": "I wanted Vienna, got as far as Graz, and turned back to Zagreb where I now sleep."},
                "Zagreb",
            ),
            Case(
                {"text": "Lima via Bogota; before Lima I was in Quito, before Quito in Cusco. End."}, "Lima"
            ),
        ),
    ),
    Template(
        name="extract_phone",
        task="extraction",
        check="contains",
        wording='What is the phone number to call {when}? "{text}"',
        paraphrases=(
            '"{text}" Which phone number does one call {when}?',
            'Give the number that should be dialled {when}, using this text: "{text}"',
            'I want to ring them {when}. Which number is right? "{text}"',
            'According to "{text}", what number is to be phoned {when}?',
            'Take the phone number for a call {when} out of this notice: "{text}"',
        ),
        cases=(
            Case(
                {"when": "at night", "text": "Tel 555-0142 (8-18h), nights 555-0124, fax 555-0141"},
                "555-0124|5550124",
            ),
            Case({"when": "on weekdays", "text": "Call us Mon-Fri: 555-0190!!"}, "555-0190|5550190"),
            Case(
                {
                    "when": "on a Sunday",
                    "text": "Mon-Thu 555-0111, Fri 555-0112, any other day 555-0113, but never after 20h",
                },
                "555-0113|5550113",
            ),
            Case(
                {
                    "when": "in an emergency",
                    "text": "Desk: 555-0170. Emergency: same as desk but ending in 9 instead of 0.",
                },
                "555-0179|5550179",
            ),
        ),
    ),
    Template(
        name="extract_url_host",
        task="extraction",
        check="contains",
        wording="What is the full host name in the URL {url} ?",
        paraphrases=(
            "Give the complete host of this URL: {url}",
            "Which host does the address {url} point to?",
            "From {url} take out the host name, without port, path or user.",
            "Look at {url} and name its host.",
            "A browser opens {url} - what is the name of the host it connects to?",
        ),
        cases=(
            Case({"url": "https://shop.kelda.example:8443/cart?id=7"}, "shop.kelda.example"),
            Case({"url": "http://www.mirla.example/index.html"}, "www.mirla.example"),
            Case(
                {"url": "ftp://anna:geheim@files.tarn.example/pub/www.data.example.zip"}, "files.tarn.example"
            ),
            Case(
                {"url": "https://login.bank.example.evil.test/bank.example/home"},
                "login.bank.example.evil.test",
            ),
        ),
    ),
    Template(
        name="extract_version",
        task="extraction",
        check="contains",
        wording='Which version {fact}? Release notes: "{text}"',
        paraphrases=(
            'Release notes: "{text}" What is the version that {fact}?',
            'From these release notes, tell me the version which {fact}. "{text}"',
            'One of the versions {fact}. Which one? "{text}"',
            'Read "{text}" and give the number of the version that {fact}.',
            'According to the notes "{text}", it is which version that {fact}?',
        ),
        cases=(
            Case(
                {
                    "fact": "fixed the crash",
                    "text": "1.4.0 new menu; 1.4.1 crash on start (known issue); 1.4.2 crash fixed, typos",
                },
                "1.4.2|v1.4.2",
            ),
            Case(
                {"fact": "is the newest", "text": "v2.0 - first. v2.1 - faster. v2.3 - newest, adds search."},
                "2.3|v2.3",
            ),
            Case(
                {"fact": "is the highest", "text": "available: 3.9.1, 3.10.0, 3.2.14, 3.8.20"},
                "3.10.0|v3.10.0|3.10",
            ),
            Case(
                {
                    "fact": "introduced dark mode",
                    "text": "5.2 removes dark mode; 5.1 repairs it; it came with the release before 5.1, "
                    "namely 5.0.7; 4.9 had none",
                },
                "5.0.7|v5.0.7",
            ),
        ),
    ),
    Template(
        name="extract_daily_dose",
        task="extraction",
        check="number",
        wording='How many milligrams of {drug} does the patient take per day? Note: "{text}"',
        paraphrases=(
            'Note: "{text}" State the daily amount of {drug} in milligrams.',
            'What is the total daily dose of {drug}, in mg, in this note? "{text}"',
            'Per day, the patient gets how many mg of {drug}? "{text}"',
            'From the doctor\'s note "{text}", find the milligrams of {drug} taken each day.',
            'Going by "{text}", how much {drug} (mg) is taken in one day?',
        ),
        cases=(
            Case(
                {"drug": "Velorin", "text": "pt 61y, Velorin 20 mg twice daily, Coprax 5 mg at night"}, "40"
            ),
            Case({"drug": "Dastol", "text": "Dastol 75 mg once a day, with food"}, "75"),
            Case({"drug": "Numex", "text": "Numex 0.5 g morning, 250 mg evening; Tarvil stopped"}, "750"),
            Case({"drug": "Orpal", "text": "Orpal 30 mg every 8 hours (was 40 mg every 12 hours)"}, "90"),
        ),
    ),
    Template(
        name="extract_list_item",
        task="extraction",
        check="contains",
        wording="What is the {position} item in this list? {items}",
        paraphrases=(
            "List: {items}. Name the {position} item.",
            "From the list {items} pick the {position} item.",
            "Which thing stands in the {position} place here: {items}?",
            "Tell me the {position} entry of the following list: {items}",
            "Given {items}, the {position} item is what?",
        ),
        cases=(
            Case({"position": "second", "items": "rope, lantern, kettle, blanket"}, "lantern"),
            Case({"position": "last", "items": "salt; flour; yeast; honey"}, "honey"),
            Case({"position": "second to last", "items": "oak / birch / elm / maple / pine / cedar"}, "pine"),
            Case(
                {"position": "sixth", "items": "cup, fork, plate, bowl, spoon, jug, knife, tray, pan"}, "jug"
            ),
        ),
    ),
    Template(
        name="extract_extreme_price",
        task="extraction",
        check="contains",
        wording="Which article is the {extreme}? {offers}",
        paraphrases=(
            "{offers} - which of these is the {extreme}?",
            "Name the {extreme} article among: {offers}",
            "From this price list find the {extreme} article: {offers}",
            "Looking at {offers}, what is the {extreme} article?",
            "Of the following offers, which article is the {extreme} one? {offers}",
        ),
        cases=(
            Case(
                {"extreme": "cheapest", "offers": "scarf 12.90, gloves 9.99, hat 10.50, socks 11.00"},
                "gloves|glove",
            ),
            Case({"extreme": "most expensive", "offers": "pen 2, ruler 3, atlas 40, eraser 1"}, "atlas"),
            Case(
                {
                    "extreme": "cheapest per piece",
                    "offers": "bolts 4 for 2.00, screws 10 for 3.00, hooks 5 for 2.25, nails 3 for 1.20",
                },
                "screws|screw",
            ),
            Case(
                {
                    "extreme": "second cheapest",
                    "offers": "stool 49.90, chair 39.00, bench 41.50, table 120, shelf 40.95",
                },
                "shelf",
            ),
        ),
    ),
    Template(
        name="extract_speaker",
        task="extraction",
        check="contains",
        wording='Who {act}? Transcript: "{text}"',
        paraphrases=(
            'Transcript: "{text}" Name the person who {act}.',
            'Read the transcript and say which person {act}. "{text}"',
            'In this conversation, someone {act}. Who was it? "{text}"',
            'Which speaker {act}, according to "{text}"?',
            'Find the name of the one who {act}: "{text}"',
        ),
        cases=(
            Case(
                {
                    "act": "offered to bring the projector",
                    "text": "Ines: We need a projector. Paul: Not mine, it broke. Greta: I can bring one. "
                    "Ines: Good.",
                },
                "Greta",
            ),
            Case({"act": "asked for tea", "text": "Tom: Coffee for me. Lisa: Tea, please."}, "Lisa"),
            Case(
                {
                    "act": "is the youngest",
                    "text": "Ada: I'm older than Ben. Ben: And I am older than Cleo. Cleo: Dan, you're even "
                    "younger than me!",
                },
                "Dan",
            ),
            Case(
                {
                    "act": "changed their mind",
                    "text": "Rui: I vote yes. Sara: No. Timo: Yes, as always. Rui: Still yes. Sara: Fine, "
                    "yes. Timo: Ha!",
                },
                "Sara",
            ),
        ),
    ),
    Template(
        name="extract_person_by_role",
        task="extraction",
        check="contains",
        wording='Who is the {role} in this text? "{text}"',
        paraphrases=(
            '"{text}" What is the name of the {role}?',
            'Name the {role} mentioned here: "{text}"',
            'Find the {role} in the following passage: "{text}"',
            'Which person has the part of {role}? "{text}"',
            'According to "{text}", the {role} is called what?',
        ),
        cases=(
            Case(
                {
                    "role": "architect",
                    "text": "The bridge, paid for by Nils Harrow and drawn by Petra Vance, was opened by "
                    "Lord Quill.",
                },
                "Vance",
            ),
            Case(
                {"role": "captain", "text": "Captain Edda Storm greeted the cook, Willem."},
                "Edda Storm|Edda|Storm",
            ),
            Case(
                {
                    "role": "buyer",
                    "text": "Mr Lowe let Ms Tarr have the boat for 900, though Mr Penn had bid 850.",
                },
                "Tarr",
            ),
            Case(
                {
                    "role": "current director",
                    "text": "Ruben Falk, who succeeded Ilse Brandt as director in 2015, was himself "
                    "replaced by his deputy Noor Aziz last spring.",
                },
                "Noor Aziz|Noor|Aziz",
            ),
        ),
    ),
    Template(
        name="extract_log_field",
        task="extraction",
        check="contains",
        wording="What is the {field} in this log line? {line}",
        paraphrases=(
            "Log line: {line} - give the {field}.",
            "Read the {field} from the following log entry: {line}",
            "In {line} which value is the {field}?",
            "Tell me the {field} recorded here: {line}",
            "Take the {field} out of this line of a log: {line}",
        ),
        cases=(
            Case(
                {
                    "field": "HTTP status code",
                    "line": '10.0.4.200 - - [12/Feb/2024:08:15:02] "GET /a/404.html HTTP/1.1" 302 1500',
                },
                "302",
            ),
            Case({"field": "log level", "line": "2023-11-02 10:22:31 WARNING disk almost full"}, "WARNING"),
            Case(
                {
                    "field": "retry limit",
                    "line": "job=7731 try=3/8 wait=20s code=5 msg='will retry'",
                },
                "8",
            ),
            Case(
                {
                    "field": "destination port",
                    "line": "TCP 192.0.2.7:51514 -> 198.51.100.3:8089 len 443 ttl 64",
                },
                "8089",
            ),
        ),
    ),
    Template(
        name="extract_duration",
        task="extraction",
        check="number",
        wording='How many minutes does the {event} last? "{text}"',
        paraphrases=(
            '"{text}" What is the length of the {event} in minutes?',
            'Give the duration of the {event}, in minutes: "{text}"',
            'From this programme, find how long the {event} takes (in minutes). "{text}"',
            'For how many minutes does the {event} go on, going by "{text}"?',
            'Read "{text}" and say how long the {event} is, counted in minutes.',
        ),
        cases=(
            Case(
                {"event": "concert", "text": "Doors 19:00, concert 19:30-21:10, bar open till 23:00"}, "100"
            ),
            Case({"event": "film", "text": "Film (95 minutes), then a talk (30 minutes)"}, "95"),
            Case({"event": "workshop", "text": "Workshop starts 13:45; coffee at its end, 16:20"}, "155"),
            Case({"event": "crossing", "text": "Ferry leaves 22:50, arrives 01:15, same time zone"}, "145"),
        ),
    ),
)
