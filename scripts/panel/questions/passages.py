"""Invented passages and questions that nothing but the passage can answer."""

from scripts.panel.template import Case, Template

TEMPLATES: tuple[Template, ...] = (
    Template(
        name="passage_ferry_timetable",
        task="passage",
        check="contains",
        passage="The Tolvik ferry links the mainland with the islands of Harn and Sule. From Monday to "
        "Friday the first boat to Harn leaves at 06:40 and the last at 19:15. Boats to Sule are fewer: the "
        "first goes at 07:30 and the last at 17:05. On Saturdays all first departures are one hour later "
        "than on weekdays, while the last departures stay the same. On Sundays there is a single boat to "
        "each island, at 10:20 to Harn and at 11:45 to Sule. Bicycles travel free of charge except in July, "
        "when a ticket of 4 crowns is needed.",
        wording="At what time does the {which} boat to {island} leave on a {day}?",
        paraphrases=(
            "When does the {which} boat for {island} depart on a {day}?",
            "On a {day}, what is the departure time of the {which} boat to {island}?",
            "Give the time at which, on a {day}, the {which} boat sets off for {island}.",
            "Somebody wants the {which} boat to {island} on a {day}: when does it go?",
            "The {which} {day} boat to {island} leaves at what time?",
        ),
        cases=(
            Case({"which": "first", "island": "Sule", "day": "Saturday"}, "08:30|8:30"),
            Case({"which": "last", "island": "Harn", "day": "Tuesday"}, "19:15|7:15 pm"),
            Case({"which": "last", "island": "Sule", "day": "Saturday"}, "17:05|5:05 pm"),
            Case({"which": "only", "island": "Sule", "day": "Sunday"}, "11:45"),
        ),
    ),
    Template(
        name="passage_company_staff",
        task="passage",
        check="number",
        passage="Brindle & Moss makes garden lanterns in the town of Eskerby. It was founded in {founded} by "
        "two cousins with a loan of 9,000 pounds. In its best year the firm had {peak} workers, but after "
        "the great flood {left} of them had to leave. The next spring the owners hired {hired} new people "
        "for the packing hall and nobody else left or joined. The head office stands in Quay Street 14, "
        "next to a bakery with 22 staff of its own. Today the lanterns are sold in 31 countries, and the "
        "firm's blue dragonfly model alone brings in a third of all income.",
        wording="How many workers did Brindle & Moss have after hiring for the packing hall?",
        paraphrases=(
            "Once the new packing-hall people had been hired, how many workers had Brindle & Moss?",
            "What was the size of the workforce of Brindle & Moss after the hiring in spring?",
            (
                "State the number of people working at Brindle & Moss when the packing hall had got its new "
                "staff."
            ),
            "After the flood and the hiring that followed, the firm employed how many workers?",
            "Following the spring hiring, how large was the staff of Brindle & Moss?",
        ),
        cases=(
            Case({"founded": 1952, "peak": 148, "left": 61, "hired": 27}, "114"),
            Case({"founded": 1931, "peak": 100, "left": 40, "hired": 10}, "70"),
            Case({"founded": 1967, "peak": 263, "left": 97, "hired": 48}, "214"),
            Case({"founded": 1948, "peak": 412, "left": 185, "hired": 96}, "323"),
        ),
    ),
    Template(
        name="passage_office_rooms",
        task="passage",
        check="contains",
        passage="At Larkmere Press every editor has a room of her or his own. Odile works in the Red Room on "
        "the ground floor, which was the mail office until last winter. Hamish has taken the Attic because "
        "he likes the view. The Long Room belongs to Priya, who shares its balcony with the Green Room next "
        "door. In the Green Room sits Tomasz, although the plate on the door still says Odile. When Priya "
        "goes on leave in May, Hamish will move into her room for three months, and the Attic will stay "
        "empty. The Cellar is used by nobody but the printer's cat.",
        wording="Which room {use}?",
        paraphrases=(
            "Name the room that {use}.",
            "At Larkmere Press, which of the rooms {use}?",
            "One room {use}. Which is it?",
            "What is the name of the room which {use}?",
            "Find out from the text which room {use}.",
        ),
        cases=(
            Case({"use": "has Odile's name on its door but another editor inside"}, "Green Room|Green"),
            Case({"use": "has an animal as its only user"}, "Cellar"),
            Case({"use": "will be Hamish's in June"}, "Long Room|Long"),
            Case({"use": "was formerly the mail office"}, "Red Room|Red"),
        ),
    ),
    Template(
        name="passage_plant_experiment",
        task="passage",
        check="choice",
        passage="Dr. Yelena Orsk grew four groups of marsh beans for ten weeks. Group A got rain water only "
        "and reached {a} cm on average. Group B, which was given tea twice a week, grew {b} cm taller than "
        "group A. Group C was played violin music every night; its plants measured {c} cm. Group D was kept "
        "in a cool cellar and ended up half as tall as group A. The pots were of the same clay and all "
        "stood on white sand. Orsk stresses that each group had a mere twelve plants, so that the study "
        "should be repeated with at least a hundred.",
        wording="Which group of plants (A, B, C or D) grew tallest?",
        paraphrases=(
            "Name the group - A, B, C or D - with the tallest plants.",
            "The tallest marsh beans were in which of the groups A, B, C and D?",
            "Out of the groups A to D, which one had the greatest average height?",
            "Which of the four groups, called A, B, C and D, came out tallest on average?",
            "By average height, what was the top group of the experiment?",
        ),
        cases=(
            Case({"a": 40, "b": 9, "c": 47}, "B"),
            Case({"a": 30, "b": 2, "c": 58}, "C"),
            Case({"a": 52, "b": 7, "c": 61}, "C"),
            Case({"a": 64, "b": 13, "c": 75}, "B"),
        ),
    ),
    Template(
        name="passage_library_fines",
        task="passage",
        check="number",
        passage="Members of the Wexcombe library may borrow eight books for three weeks. Whoever brings a "
        "book back late pays 20 cents for each day of delay, but never more than 6 euros per book. For "
        "films the charge is 50 cents per day with a limit of 10 euros per film. Children under twelve pay "
        "half of the amount that an adult would pay. A lost library card is replaced for 3 euros. No fine "
        "is due for days on which the library is shut because of snow. The reading room opens at nine and "
        "may be used by everyone, members or not.",
        wording="What fine in euros is due when {who} brings back {what} {days} days late?",
        paraphrases=(
            "How many euros must {who} pay for returning {what} {days} days too late?",
            "If {who} returns {what} with a delay of {days} days, what is the fine in euros?",
            "By these rules, being {days} days late with {what} costs {who} how many euros?",
            "Work out the fine, in euros, for {who} who hands in {what} {days} days after the due date.",
            (
                "The due date of {what} passed {days} days ago and {who} returns it today. State the fine in "
                "euros."
            ),
        ),
        cases=(
            Case({"who": "a child of nine", "what": "one film", "days": 8}, "2"),
            Case({"who": "an adult", "what": "one book", "days": 10}, "2"),
            Case({"who": "an adult", "what": "one book", "days": 45}, "6"),
            Case({"who": "a child of ten", "what": "one film", "days": 31}, "5"),
        ),
    ),
    Template(
        name="passage_bridge_history",
        task="passage",
        check="number",
        passage="The stone bridge of Calder Hythe was begun in {begun} under Bishop Anselm Roe and took "
        "{years} years to finish. It carried carts and cattle. {gap} years after it was "
        "finished, a barge loaded with salt hit the middle pillar and two arches fell. The town could not "
        "pay for stone, so the gap was closed with timber, which did its work for 35 years until a fire. "
        "The bridge that visitors see now has five arches and a small chapel, and a toll of two pennies was "
        "asked of each rider until 1874.",
        wording="In which year did the barge hit the bridge?",
        paraphrases=(
            "What was the year of the barge accident at the bridge?",
            "Give the year in which two arches fell because of a barge.",
            "When (which year) was the middle pillar struck by the salt barge?",
            "The collision of the barge with the bridge happened in what year?",
            "Find the year when the barge ran into the middle pillar.",
        ),
        cases=(
            Case({"begun": 1512, "years": 14, "gap": 63}, "1589"),
            Case({"begun": 1500, "years": 10, "gap": 50}, "1560"),
            Case({"begun": 1487, "years": 26, "gap": 88}, "1601"),
            Case({"begun": 1538, "years": 17, "gap": 146}, "1701"),
        ),
    ),
    Template(
        name="passage_choir_rules",
        task="passage",
        check="label",
        passage="The Ostrava Lane choir meets on Wednesdays. Whoever wants to sing at the summer concert has "
        "to be at six rehearsals or more out of the last eight. An exception is made for members who have "
        "sung in the choir for over ten years: for them four rehearsals are enough. Nobody may sing at the "
        "concert without having paid the yearly fee of 30 crowns by the first of May, not even the "
        "long-standing members. Guests of the choir never sing at the concert, but they may turn pages for "
        "the pianist.",
        wording="{who} Is this person allowed to sing at the concert, yes or no?",
        paraphrases=(
            "{who} May this person take part in the concert as a singer - yes or no?",
            "Yes or no: can this person sing at the summer concert? {who}",
            "Think of this person. {who} Do the rules let this person sing at the concert (yes or no)?",
            "{who} Going by the rules, is singing at the concert open to this person, yes or no?",
            "Consider the following case and say yes or no to singing at the concert. {who}",
        ),
        cases=(
            Case(
                {
                    "who": "Vera, a member for 12 years, was at five of the last eight rehearsals and paid "
                    "in April."
                },
                "yes//yes,no",
            ),
            Case(
                {
                    "who": "Mikael, a member for two years, was at seven of the last eight rehearsals and "
                    "paid in March."
                },
                "yes//yes,no",
            ),
            Case(
                {
                    "who": "Bruno, a member for 20 years, was at all eight of the last rehearsals and paid "
                    "in June."
                },
                "no//yes,no",
            ),
            Case(
                {
                    "who": "Ruta, a member for ten years exactly, was at five of the last eight rehearsals "
                    "and paid in April."
                },
                "no//yes,no",
            ),
        ),
    ),
    Template(
        name="passage_market_prices",
        task="passage",
        check="number",
        passage="On the market of Dunmallow three farmers sell honey. Agnes asks 7 florins a jar and takes "
        "one florin off the total for every two jars bought together. Old Corbin asks 6 florins a jar with "
        "no reduction at all, and he adds a jar deposit of half a florin. The twins from Pell sell only "
        "boxes of four jars, at 22 florins a box, deposit included. Honey cake is 3 florins a slice at each "
        "stall. Agnes has no deposit. The market is held on the first Thursday of the month and closes at "
        "noon.",
        wording="How many florins does one pay, deposit included, for {n} jars of honey from {seller}?",
        paraphrases=(
            "What is the price in florins, with any deposit, of {n} jars of honey bought from {seller}?",
            "{n} jars of honey from {seller} come to how many florins, if deposits are counted?",
            "Counting deposits, what do {n} jars of honey cost at the stall of {seller}, in florins?",
            "A buyer takes {n} jars of honey from {seller}. How many florins is that, deposits and all?",
            "State the sum in florins, deposit and reductions included, for {n} honey jars from {seller}.",
        ),
        cases=(
            Case({"n": 6, "seller": "Agnes"}, "39"),
            Case({"n": 8, "seller": "the twins from Pell"}, "44"),
            Case({"n": 6, "seller": "Old Corbin"}, "39"),
            Case({"n": 10, "seller": "Agnes"}, "65"),
        ),
    ),
    Template(
        name="passage_mountain_hut",
        task="passage",
        check="contains",
        passage="Three huts lie on the Vargen trail. The lowest, Birk Hut, has 24 beds and a stove, and it "
        "is open all year. Two hours higher stands Ravn Hut, with 12 beds and the only telephone on the "
        "trail; it closes from November to April. The highest of them, Stern Hut, has 40 beds and hot "
        "showers but no kitchen, and is open only in July and August. Dogs are welcome in Birk Hut, must "
        "sleep in the shed at Ravn Hut, and are not allowed at Stern Hut. A key for the winter shed is kept "
        "by the baker in Lomsdal.",
        wording="Which hut suits walkers who {need}?",
        paraphrases=(
            "Name the hut for walkers who {need}.",
            "Some walkers {need}. To which hut should they go?",
            "To what hut would you send walkers who {need}?",
            "Of the three huts, which is right for walkers who {need}?",
            "Walkers who {need} had better choose which hut?",
        ),
        cases=(
            Case({"need": "come in June, have no dog and need to make a phone call"}, "Ravn"),
            Case({"need": "come in January"}, "Birk"),
            Case({"need": "are a group of 30 and come in August"}, "Stern"),
            Case({"need": "come in May with a dog that must not sleep in a shed"}, "Birk"),
        ),
    ),
    Template(
        name="passage_board_election",
        task="passage",
        check="contains",
        passage="The Finborough allotment club elected a new treasurer on Sunday. Of {total} members, "
        "{absent} stayed at home. Lotte Aske received {aske} votes and Jonas Dray {dray}, while everybody "
        "else who had come voted for Miriam Holt. No vote was invalid. The club's rules say that whoever "
        "has the most votes is elected, with no need for a majority of all members. The evening ended with "
        "a quarrel over the water pump, which is now to be repaired before the beans are sown. The "
        "president, Ulf Brandt, did not stand for the post.",
        wording="Who was elected treasurer?",
        paraphrases=(
            "Name the person who became treasurer.",
            "Which candidate won the election for treasurer?",
            "The post of treasurer went to whom?",
            "Who is the new treasurer of the Finborough club?",
            "What is the name of the member whom the club made treasurer?",
        ),
        cases=(
            Case({"total": 94, "absent": 21, "aske": 24, "dray": 22}, "Miriam Holt|Holt|Miriam"),
            Case({"total": 60, "absent": 10, "aske": 38, "dray": 7}, "Lotte Aske|Aske|Lotte"),
            Case({"total": 88, "absent": 17, "aske": 19, "dray": 27}, "Jonas Dray|Dray|Jonas"),
            Case({"total": 120, "absent": 33, "aske": 28, "dray": 29}, "Miriam Holt|Holt|Miriam"),
        ),
    ),
    Template(
        name="passage_museum_donors",
        task="passage",
        check="contains",
        passage="The museum of Arvelle owes its four best pieces to four donors. The silver owl came from "
        "Countess Halvard, whose ship had brought it from the south. The glass harp was left to the museum "
        "by a dentist named Sorel. The brass globe was bought with the money of the brewer Pask, though a "
        "sign wrongly thanks Sorel for it. A schoolboy, Edwin Tarrow, dug the bronze key out of his garden "
        "and gave it away for nothing. When the countess learnt of this, she paid for his studies. The owl "
        "is shown in room 2, the harp and the key in room 5, and the globe in the hall.",
        wording="Who {question}?",
        paraphrases=(
            "Name the person who {question}.",
            "According to the text, which person {question}?",
            "What is the name of the one who {question}?",
            "One of the donors {question}. Who is that?",
            "Say which of the donors {question}.",
        ),
        cases=(
            Case({"question": "gave the money for the object in the hall"}, "Pask"),
            Case({"question": "gave the silver owl"}, "Halvard"),
            Case({"question": "gave the object that shares room 5 with the bronze key"}, "Sorel"),
            Case({"question": "had studies paid for by another donor"}, "Tarrow|Edwin"),
        ),
    ),
    Template(
        name="passage_battery_test",
        task="passage",
        check="number",
        passage="Engineers at Quillon Labs compared two battery packs for a mowing robot. The older pack, "
        "called Finch, holds {finch} watt-hours; the newer one, Wren, holds {more} watt-hours more. The "
        "robot draws {draw} watts while mowing and 3 watts when parked. In a first test on wet grass both "
        "packs ran empty sooner than expected, because the blades had not been sharpened since March. The "
        "engineers then put in new blades, started with full packs and mowed without a break until each "
        "pack was empty. Charging takes two hours for Finch and 90 minutes for Wren.",
        wording="With new blades and a full pack, how many hours could the robot mow on Wren?",
        paraphrases=(
            "For how many hours of mowing is a full Wren pack good, with the new blades fitted?",
            "How long, in hours, would the robot mow on one full charge of Wren with new blades?",
            "Give the mowing time in hours of the full Wren pack once the blades had been replaced.",
            "State how many hours a full Wren keeps the robot mowing, given new blades.",
            "Full Wren pack, new blades: the mowing goes on for how many hours?",
        ),
        cases=(
            Case({"finch": 180, "more": 60, "draw": 48}, "5"),
            Case({"finch": 80, "more": 20, "draw": 50}, "2"),
            Case({"finch": 210, "more": 78, "draw": 72}, "4"),
            Case({"finch": 264, "more": 86, "draw": 140}, "2.5"),
        ),
    ),
    Template(
        name="passage_school_trip",
        task="passage",
        check="number",
        passage="Class 7 of the Heronsgate school went to the caves of Ildry. {pupils} pupils and {teachers} "
        "teachers took the bus at 7:45. The entrance fee was {child} marks for a pupil and {adult} marks "
        "for a teacher; one teacher in each group gets in free of charge, and the class counted as one "
        "group. Torches were lent out for nothing. At noon it rained, so that the picnic was eaten in the "
        "bus. The driver, who did not visit the caves, told stories about a smuggler named Black Nan. The "
        "bus itself had been paid for by the parents, at 310 marks.",
        wording="How many marks did the entrance to the caves cost for the whole class with its teachers?",
        paraphrases=(
            "What did the pupils and teachers together pay in marks to enter the caves?",
            "Give the total entrance fee in marks for everybody in the class group.",
            "Work out how many marks were paid at the entrance of the caves altogether.",
            "In total, the entrance for pupils and teachers came to how many marks?",
            "How high was the sum of all entrance fees, in marks, for this visit?",
        ),
        cases=(
            Case({"pupils": 26, "teachers": 3, "child": 4, "adult": 9}, "122"),
            Case({"pupils": 20, "teachers": 2, "child": 5, "adult": 10}, "110"),
            Case({"pupils": 31, "teachers": 4, "child": 6, "adult": 11}, "219"),
            Case({"pupils": 28, "teachers": 3, "child": 7, "adult": 12}, "220"),
        ),
    ),
    Template(
        name="passage_warranty",
        task="passage",
        check="label",
        passage="Every Hobarth oven has a guarantee of three years from the day of purchase. The glass of "
        "the door is covered for one year only. Damage by water is never covered. The guarantee is lost for "
        "good if the oven is repaired by anybody but a Hobarth workshop. Ovens bought at a fair or a flea "
        "market have half of all these periods. Light bulbs are wear parts and the customer pays for them, "
        "unless they fail within the first month. The receipt must be shown; a photograph of it is good "
        "enough. Shipping to the workshop is paid by Hobarth.",
        wording="{claim} Is the claim covered or refused?",
        paraphrases=(
            "{claim} Will this claim be covered or refused under the guarantee?",
            "Covered or refused: what happens to this claim? {claim}",
            "Judge this case as covered or refused. {claim}",
            "{claim} By the terms above, is that covered or refused?",
            "A customer turns to Hobarth. {claim} Label the claim covered or refused.",
        ),
        cases=(
            Case(
                {"claim": "The door glass of an oven from a fair cracked after eight months."},
                "refused//covered,refused",
            ),
            Case(
                {"claim": "The heating of an oven from a shop failed after two years; the receipt is there."},
                "covered//covered,refused",
            ),
            Case(
                {
                    "claim": "A bulb failed two weeks after purchase in a shop; there is a photo of the "
                    "receipt."
                },
                "covered//covered,refused",
            ),
            Case(
                {
                    "claim": "The fan failed after a year; a neighbour had repaired the clock of the oven "
                    "before."
                },
                "refused//covered,refused",
            ),
        ),
    ),
    Template(
        name="passage_family_letters",
        task="passage",
        check="contains",
        passage="In the letters of the Merrow family four children are named. Clement was the eldest and "
        "went to sea. His sister Dorothea, two years younger, married the apothecary Gaunt and moved to "
        "Felden. The twins Basil and Ottilie were born last. Basil became an apothecary like his "
        "brother-in-law, but Ottilie was the one who learnt to fly and crossed the Strait of Morn in a "
        "plane she had built herself. Her eldest brother never heard of it, for his ship had been lost the "
        "winter before. The house in Felden passed to Basil's daughter Irmgard.",
        wording="Which member of the family {fact}?",
        paraphrases=(
            "Name the family member who {fact}.",
            "Who in the family {fact}?",
            "One member of the family {fact}. Which one?",
            "Going by the letters, who was it that {fact}?",
            "Find the person in this family who {fact}.",
        ),
        cases=(
            Case({"fact": "was lost with a ship"}, "Clement"),
            Case({"fact": "married Gaunt"}, "Dorothea"),
            Case({"fact": "was the niece of Ottilie"}, "Irmgard"),
            Case({"fact": "had the same profession as Dorothea's husband"}, "Basil"),
        ),
    ),
    Template(
        name="passage_water_supply",
        task="passage",
        check="number",
        passage="The village of Low Tarnby gets its water from a spring that gives {flow} litres per minute "
        "at all seasons. The water is gathered in a round tank of {size} litres, built by the grandfather "
        "of the present mayor. Once a year the tank is drained, brushed with lime and filled again from the "
        "spring, during which the tap to the village stays shut. The brushing alone takes six hours. In the "
        "dry summer of the year before last, a farmer lent the village a second tank of 5,000 litres, which "
        "was returned in autumn.",
        wording="How many minutes does it take to fill the empty village tank from the spring?",
        paraphrases=(
            "In how many minutes does the spring fill the village's own tank when it is empty?",
            "What time in minutes is needed for the spring to fill the drained round tank?",
            "Give the number of minutes for filling the empty round tank with spring water.",
            "After the yearly cleaning, for how many minutes must the spring run until the tank is full?",
            "The empty tank built by the grandfather is full after how many minutes?",
        ),
        cases=(
            Case({"flow": 45, "size": "10,800"}, "240"),
            Case({"flow": 50, "size": "10,000"}, "200"),
            Case({"flow": 36, "size": "13,500"}, "375"),
            Case({"flow": 64, "size": "23,680"}, "370"),
        ),
    ),
    Template(
        name="passage_radio_schedule",
        task="passage",
        check="contains",
        passage="Radio Glimmen broadcasts from an old mill. At 6 the day opens with Dawn Post, read by "
        "Selma. It is followed at 9 by Kitchen Clock, a cookery talk by Ruben that lasts two hours. "
        "Straight after it comes the quiz Ten Pins, with Ayla. The news is read at 13 by Selma again, and "
        "from 14 to 17 there is music without any speaker, named Blue Reel. Then Ruben comes back with "
        "Backyard, a programme on gardens, until 19. At night the mill belongs to Ayla, whose show Lamp Oil "
        "ends at midnight. On Sundays Ruben and Ayla swap all their programmes.",
        wording="Who is at the microphone of {show} on a {day}?",
        paraphrases=(
            "On a {day}, who presents {show}?",
            "Name the speaker who does {show} on a {day}.",
            "Which speaker does one hear in {show} on a {day}?",
            "{show} on a {day} is presented by whom?",
            "If I listen to {show} on a {day}, whose voice is it?",
        ),
        cases=(
            Case({"show": "Ten Pins", "day": "Sunday"}, "Ruben"),
            Case({"show": "Dawn Post", "day": "Monday"}, "Selma"),
            Case({"show": "the cookery talk", "day": "Sunday"}, "Ayla"),
            Case({"show": "the programme that starts at 17", "day": "Friday"}, "Ruben"),
        ),
    ),
    Template(
        name="passage_software_release",
        task="passage",
        check="contains",
        passage="Version {old} of the drawing program Pikto will be supported until the end of {month} "
        "{year}. Its successor, version {new}, was first planned for spring but came out in the autumn, "
        "because the exporter had to be written afresh. Files of the new version cannot be opened by the "
        "old one, yet the other way round works without trouble. Support for any version always ends {n} "
        "months after its successor has come out, and this rule was kept here too. The team behind Pikto "
        "has five members; its mascot is a snail that wears glasses.",
        wording="In which month did the successor version of Pikto come out?",
        paraphrases=(
            "What was the month of release of Pikto's newer version?",
            "Name the month in which the newer of the two versions came out.",
            "The newer Pikto version was released in what month?",
            "Work out the month when the successor was published.",
            "When, that is in what month, did Pikto's successor version appear?",
        ),
        cases=(
            Case({"old": "4.2", "new": "5.0", "month": "March", "year": 2031, "n": "six"}, "September"),
            Case({"old": "1.0", "new": "2.0", "month": "December", "year": 2029, "n": "two"}, "October"),
            Case({"old": "7.1", "new": "7.2", "month": "June", "year": 2033, "n": "nine"}, "September"),
            Case({"old": "3.6", "new": "4.0", "month": "April", "year": 2030, "n": "five"}, "November"),
        ),
    ),
    Template(
        name="passage_race_results",
        task="passage",
        check="contains",
        passage="Five friends took part in the Gorsefield run, and no two of them finished together. Wanda "
        "came in right after Felix. Felix was beaten only by the two Italians, Dario and Nino. Of these, "
        "Nino had led until the last hill, where Dario went past him for good. Osk, who wore sandals, came "
        "last of the five, eleven minutes after the winner. The weather was mild, and the mayor handed out "
        "apples in place of medals. Next year the course will be two kilometres longer, and Wanda has "
        "promised to wear sandals too.",
        wording="Who finished in {place} place among the five friends?",
        paraphrases=(
            "Name the friend who took {place} place.",
            "Which of the five friends came in {place}?",
            "Among the friends, {place} place went to whom?",
            "Who was {place} of the five in the Gorsefield run?",
            "In the order of finishing, which friend stood {place}?",
        ),
        cases=(
            Case({"place": "first"}, "Dario"),
            Case({"place": "fifth"}, "Osk"),
            Case({"place": "third"}, "Felix"),
            Case({"place": "fourth"}, "Wanda"),
        ),
    ),
    Template(
        name="passage_recipe_scaling",
        task="passage",
        check="number",
        passage="For the Saltmarsh pie, which feeds six, the cook Berit Aune takes 300 grams of flour, 180 "
        "grams of butter, 4 eggs, 450 grams of smoked eel and a spoon of mustard. The dough rests for 40 "
        "minutes and the pie is baked for 55. Those who dislike eel may use the same weight of mushrooms, "
        "but they should then add one more egg for each six people. Leftovers keep for two days in a cold "
        "place. Berit's inn has 18 seats and serves the pie on Fridays only; in winter she doubles the "
        "mustard.",
        wording="How many {thing} are needed to make {version} for {people} people?",
        paraphrases=(
            "For {people} people, {version} takes how many {thing}?",
            "State how many {thing} go into {version} meant for {people} people.",
            "To feed {people} people with {version}, how many {thing} does one use?",
            "What number of {thing} does {version} require if there are {people} people?",
            "Scale the recipe: how many {thing} for {version}, with {people} people at the table?",
        ),
        cases=(
            Case({"thing": "eggs", "version": "the mushroom pie", "people": 18}, "15"),
            Case({"thing": "grams of butter", "version": "the eel pie", "people": 6}, "180"),
            Case({"thing": "grams of smoked eel", "version": "the eel pie", "people": 10}, "750"),
            Case({"thing": "eggs", "version": "the eel pie", "people": 9}, "6"),
        ),
    ),
)
