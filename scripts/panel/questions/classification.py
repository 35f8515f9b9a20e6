"""Put a short text under one of the labels that the question lists."""

from scripts.panel.template import Case, Template

TEMPLATES: tuple[Template, ...] = (
    Template(
        name="classify_sentiment",
        task="classification",
        check="label",
        wording='Is the sentiment of this review positive, negative or neutral? "{text}"',
        paraphrases=(
            'Review: "{text}" Label its sentiment as positive, negative or neutral.',
            'Which of positive, negative and neutral describes the mood of "{text}"?',
            'Classify the review "{text}" by sentiment: positive, negative, neutral.',
            'Does the writer sound positive, negative or neutral here? "{text}"',
            'Choose positive, negative or neutral for the feeling in this review: "{text}"',
        ),
        cases=(
            Case(
                {"text": "Oh great, it broke on day two. Money well spent, really."},
                "negative//positive,negative,neutral",
            ),
            Case(
                {"text": "Lovely little kettle, I use it every morning!"},
                "positive//positive,negative,neutral",
            ),
            Case(
                {"text": "The parcel contains one cable, 2 m long, and a manual."},
                "neutral//positive,negative,neutral",
            ),
            Case(
                {"text": "I was sure I would hate it, and I have never been so happy to be wrong."},
                "positive//positive,negative,neutral",
            ),
        ),
    ),
    Template(
        name="classify_spam",
        task="classification",
        check="label",
        wording='Is this e-mail spam or ham? "{text}"',
        paraphrases=(
            'E-mail: "{text}" Mark it as spam or ham.',
            'Decide whether the following mail is spam or ham: "{text}"',
            'Would a good filter call this message ham or spam? "{text}"',
            'Label this e-mail with one of the labels spam, ham. "{text}"',
            'Spam or ham - which of the two is "{text}"?',
        ),
        cases=(
            Case(
                {"text": "Hi Jo, free tickets for the school play are at my desk, first come first served."},
                "ham//spam,ham",
            ),
            Case(
                {"text": "CONGRATULATIONS!!! You WON 1,000,000 $. Click here to claim now!"}, "spam//spam,ham"
            ),
            Case(
                {
                    "text": "Dear client, your mailbox is full. Confirm your password at the link below "
                    "within 24 hours."
                },
                "spam//spam,ham",
            ),
            Case(
                {
                    "text": "Your dentist appointment is on Tuesday at 10:15. Call us if you need to change "
                    "it."
                },
                "ham//spam,ham",
            ),
        ),
    ),
    Template(
        name="classify_topic",
        task="classification",
        check="label",
        wording='Which topic fits this headline: sports, politics, science or business? "{text}"',
        paraphrases=(
            'Headline: "{text}" Sort it under sports, politics, science or business.',
            'Assign one of the topics sports, politics, science, business to "{text}"',
            'In which section (sports, politics, science, business) would "{text}" appear?',
            'Classify this headline by topic - science, sports, business or politics: "{text}"',
            'The labels are politics, science, sports and business. Which one suits "{text}"?',
        ),
        cases=(
            Case(
                {"text": "Minister defeats rival by a nose in race for party chair"},
                "politics//sports,politics,science,business",
            ),
            Case(
                {"text": "Goalkeeper saves two penalties in the final"},
                "sports//sports,politics,science,business",
            ),
            Case(
                {"text": "Shares of brewery slide after weak quarterly earnings"},
                "business//sports,politics,science,business",
            ),
            Case(
                {"text": "Telescope team measures the wind on a planet far away"},
                "science//sports,politics,science,business",
            ),
        ),
    ),
    Template(
        name="classify_urgency",
        task="classification",
        check="label",
        wording='How urgent is this support ticket: low, medium or high? "{text}" Rule: high if work is '
        "stopped for everybody, medium if one person cannot work, low otherwise.",
        paraphrases=(
            (
                "Tickets are high when nobody can work, medium when one person cannot work, and low "
                'otherwise. What is this one? "{text}"'
            ),
            (
                'Ticket: "{text}" Give its urgency (low, medium, high), where high means that work stops for '
                "everybody, medium that a single person cannot work, and low all the rest."
            ),
            (
                "Use these levels: low (work goes on), medium (one person is blocked), high (everybody is "
                'blocked). Which level has "{text}"?'
            ),
            (
                "High: all staff are blocked. Medium: exactly one person is blocked. Low: nobody is. "
                'Classify the ticket "{text}"'
            ),
            (
                'Rate the urgency of "{text}" as high (the whole staff cannot work), medium (one person '
                "cannot work) or low (anything else)."
            ),
        ),
        cases=(
            Case({"text": "My laptop is dead, I can only watch the others work."}, "medium//low,medium,high"),
            Case(
                {"text": "Nobody in the company can log in, all work has stopped."}, "high//low,medium,high"
            ),
            Case(
                {"text": "URGENT!!! The logo on the intranet page is the wrong shade of blue!!!"},
                "low//low,medium,high",
            ),
            Case(
                {
                    "text": "No rush, just so you know: the power is out and all of us are sitting in the "
                    "dark."
                },
                "high//low,medium,high",
            ),
        ),
    ),
    Template(
        name="classify_intent",
        task="classification",
        check="label",
        wording='Which intent has the user: book, cancel, complain or inquire? "{text}"',
        paraphrases=(
            'User: "{text}" Is the intent book, cancel, complain or inquire?',
            'Pick the intent of this message out of book, cancel, complain, inquire: "{text}"',
            'Sort "{text}" under one of these intents: inquire, complain, cancel, book.',
            'What does the user want to do - book, cancel, complain or inquire? "{text}"',
            'A hotel bot knows the intents book, cancel, complain and inquire. Which fits "{text}"?',
        ),
        cases=(
            Case(
                {"text": "We won't be coming on Friday after all, please give our room to someone else."},
                "cancel//book,cancel,complain,inquire",
            ),
            Case(
                {"text": "I'd like a double room for two nights from 3 May."},
                "book//book,cancel,complain,inquire",
            ),
            Case(
                {"text": "Is breakfast included, and until when is it served?"},
                "inquire//book,cancel,complain,inquire",
            ),
            Case(
                {"text": "Third night in a row with a cold shower. Is this what you call four stars?"},
                "complain//book,cancel,complain,inquire",
            ),
        ),
    ),
    Template(
        name="classify_language",
        task="classification",
        check="label",
        wording='Which language is this: {choices}? "{text}"',
        paraphrases=(
            '"{text}" - in which of these languages is that written: {choices}?',
            'Identify the language ({choices}) of "{text}"',
            'Name the language of the sentence "{text}". The possible languages are {choices}.',
            'Out of {choices}, which is the language of the following? "{text}"',
            'Somebody wrote "{text}". Was that {choices}?',
        ),
        cases=(
            Case(
                {
                    "choices": "Danish, Swedish, Finnish or Icelandic",
                    "text": "Jag har aldrig sett en så vacker sjö.",
                },
                "Swedish//Danish,Swedish,Finnish,Icelandic",
            ),
            Case(
                {"choices": "French, German, Polish or Greek", "text": "Ich gehe heute nicht in die Schule."},
                "German//French,German,Polish,Greek",
            ),
            Case(
                {
                    "choices": "Spanish, Portuguese, Italian or Romanian",
                    "text": "Não sei onde deixei as minhas chaves.",
                },
                "Portuguese//Spanish,Portuguese,Italian,Romanian",
            ),
            Case(
                {
                    "choices": "Estonian, Finnish, Hungarian or Latvian",
                    "text": "Nem tudom, hol van a kulcsom.",
                },
                "Hungarian//Estonian,Finnish,Hungarian,Latvian",
            ),
        ),
    ),
    Template(
        name="classify_part_of_speech",
        task="classification",
        check="label",
        wording='Is the word "{word}" a noun, verb, adjective or adverb in this sentence: "{text}"',
        paraphrases=(
            'Sentence: "{text}" What part of speech is "{word}" here: noun, verb, adjective or adverb?',
            'In "{text}", classify "{word}" as noun, verb, adjective or adverb.',
            'Which label (noun, verb, adjective, adverb) does "{word}" get in "{text}"?',
            'Say whether "{word}" works as a noun, verb, adjective or adverb in the sentence "{text}"',
            'Tag the word "{word}" with its part of speech - adverb, adjective, verb or noun: "{text}"',
        ),
        cases=(
            Case(
                {"word": "water", "text": "They water the roses every evening."},
                "verb//noun,verb,adjective,adverb",
            ),
            Case({"word": "house", "text": "The house has a red roof."}, "noun//noun,verb,adjective,adverb"),
            Case({"word": "fast", "text": "She drove far too fast."}, "adverb//noun,verb,adjective,adverb"),
            Case(
                {"word": "deadly", "text": "It was a deadly mistake."},
                "adjective//noun,verb,adjective,adverb",
            ),
        ),
    ),
    Template(
        name="classify_toxicity",
        task="classification",
        check="label",
        wording='Is this comment an insult or is it polite? "{text}"',
        paraphrases=(
            'Comment: "{text}" Does it count as an insult or as polite?',
            'Moderate this comment with one label, insult or polite: "{text}"',
            'Should a moderator label "{text}" as polite or as an insult?',
            'Polite or insult: which label suits the comment "{text}"?',
            'The labels are insult and polite. Choose one for "{text}"',
        ),
        cases=(
            Case({"text": "I have met doorknobs with better ideas than yours."}, "insult//insult,polite"),
            Case({"text": "Thank you for taking the time to explain this."}, "polite//insult,polite"),
            Case(
                {"text": "I'm afraid I see it differently, but your point about costs is fair."},
                "polite//insult,polite",
            ),
            Case(
                {"text": "Bless you, counting to three without using your fingers this time!"},
                "insult//insult,polite",
            ),
        ),
    ),
    Template(
        name="classify_fact_or_opinion",
        task="classification",
        check="label",
        wording='Is this statement a fact or an opinion? "{text}"',
        paraphrases=(
            'Statement: "{text}" Label it fact or opinion.',
            'Does "{text}" state a fact or an opinion?',
            'Decide between fact and opinion for this sentence: "{text}"',
            'Opinion or fact - what is "{text}"?',
            'Which label, fact or opinion, belongs to the sentence "{text}"?',
        ),
        cases=(
            Case(
                {"text": "Seven players per team is clearly the ideal number for handball."},
                "opinion//fact,opinion",
            ),
            Case({"text": "Blue is the most beautiful colour."}, "opinion//fact,opinion"),
            Case(
                {"text": "Water boils at a lower temperature on a high mountain than at the sea."},
                "fact//fact,opinion",
            ),
            Case({"text": "A day on Venus lasts longer than a year on Venus."}, "fact//fact,opinion"),
        ),
    ),
    Template(
        name="classify_question_type",
        task="classification",
        check="label",
        wording="What kind of answer does this question ask for: person, place, time, number or reason? "
        '"{text}"',
        paraphrases=(
            'Question: "{text}" Is the expected answer a person, place, time, number or reason?',
            'Label the question "{text}" by the answer it wants - person, place, time, number, reason.',
            'Which type (person, place, time, number, reason) would an answer to "{text}" have?',
            'Somebody asks "{text}" Are they after a person, a place, a time, a number or a reason?',
            'Sort this question by answer type, out of reason, number, time, place and person: "{text}"',
        ),
        cases=(
            Case(
                {"text": "What made the ice on the lake crack so early?"},
                "reason//person,place,time,number,reason",
            ),
            Case(
                {"text": "Who painted the ceiling of that chapel?"}, "person//person,place,time,number,reason"
            ),
            Case(
                {"text": "What is the population of the capital of Chile?"},
                "number//person,place,time,number,reason",
            ),
            Case(
                {"text": "By what point must applicants have sent their forms?"},
                "time//person,place,time,number,reason",
            ),
        ),
    ),
    Template(
        name="classify_department",
        task="classification",
        check="label",
        wording='Which department should get this message: billing, shipping, technical or legal? "{text}"',
        paraphrases=(
            'Message: "{text}" Route it to billing, shipping, technical or legal.',
            'To which of billing, shipping, technical and legal do we forward "{text}"?',
            'A customer writes "{text}" Who handles it - billing, shipping, technical or legal?',
            'Pick the right department (legal, technical, shipping, billing) for this: "{text}"',
            'The departments are shipping, legal, billing and technical. Where does "{text}" belong?',
        ),
        cases=(
            Case(
                {"text": "The app closes by itself as soon as I open the page with my invoices."},
                "technical//billing,shipping,technical,legal",
            ),
            Case(
                {"text": "You charged my card twice this month."}, "billing//billing,shipping,technical,legal"
            ),
            Case(
                {"text": "The tracking page says delivered, yet my doorstep is empty."},
                "shipping//billing,shipping,technical,legal",
            ),
            Case(
                {"text": "Your advert uses my photograph without my consent; my lawyer has been told."},
                "legal//billing,shipping,technical,legal",
            ),
        ),
    ),
    Template(
        name="classify_entailment",
        task="classification",
        check="label",
        wording='Premise: "{premise}" Hypothesis: "{hypothesis}" Is the hypothesis entailed, contradicted or '
        "undetermined?",
        paraphrases=(
            'Given that "{premise}", is the statement "{hypothesis}" entailed, contradicted or undetermined?',
            (
                'Label the pair as entailed, contradicted or undetermined. First sentence: "{premise}" '
                'Second sentence: "{hypothesis}"'
            ),
            (
                'Suppose this is true: "{premise}" What holds for "{hypothesis}": entailed, contradicted, '
                "undetermined?"
            ),
            'Does "{premise}" make "{hypothesis}" entailed, contradicted or undetermined?',
            (
                'Hypothesis: "{hypothesis}" Known: "{premise}" Choose one of undetermined, contradicted, '
                "entailed."
            ),
        ),
        cases=(
            Case(
                {
                    "premise": "All three sisters play the violin.",
                    "hypothesis": "One of the sisters plays no instrument.",
                },
                "contradicted//entailed,contradicted,undetermined",
            ),
            Case(
                {"premise": "A black dog is sleeping on the sofa.", "hypothesis": "An animal is sleeping."},
                "entailed//entailed,contradicted,undetermined",
            ),
            Case(
                {"premise": "Marta bought bread at the market.", "hypothesis": "Marta also bought cheese."},
                "undetermined//entailed,contradicted,undetermined",
            ),
            Case(
                {
                    "premise": "Nobody but Karl failed to hand in the form.",
                    "hypothesis": "Karl handed in the form.",
                },
                "contradicted//entailed,contradicted,undetermined",
            ),
        ),
    ),
    Template(
        name="classify_tense",
        task="classification",
        check="label",
        wording='Does this sentence speak about the past, present or future? "{text}"',
        paraphrases=(
            'Sentence: "{text}" Is it about the past, present or future?',
            'Choose past, present or future for the time that "{text}" is about.',
            'Which time - past, present, future - does the event in "{text}" have?',
            'Label "{text}" by its time reference: past, present or future.',
            'When does it happen, in the future, present or past? "{text}"',
        ),
        cases=(
            Case({"text": "The train leaves tomorrow at six."}, "future//past,present,future"),
            Case({"text": "We walked home in the rain."}, "past//past,present,future"),
            Case({"text": "Right now the cat is asleep on my keyboard."}, "present//past,present,future"),
            Case(
                {"text": "It is the year 1492: an admiral steps ashore and sees palm trees."},
                "past//past,present,future",
            ),
        ),
    ),
    Template(
        name="classify_animal_class",
        task="classification",
        check="label",
        wording="Is the {animal} a mammal, bird, reptile, fish or amphibian?",
        paraphrases=(
            "To which class does the {animal} belong: mammal, bird, reptile, fish or amphibian?",
            "Classify the {animal} as mammal, bird, reptile, fish or amphibian.",
            "Mammal, bird, reptile, fish, amphibian: which of these is the {animal}?",
            "Biologists put the {animal} in which group - amphibian, fish, reptile, bird or mammal?",
            "Choose the animal class of the {animal} out of fish, bird, amphibian, mammal, reptile.",
        ),
        cases=(
            Case({"animal": "salamander"}, "amphibian//mammal,bird,reptile,fish,amphibian"),
            Case({"animal": "dolphin"}, "mammal//mammal,bird,reptile,fish,amphibian"),
            Case({"animal": "tuatara"}, "reptile//mammal,bird,reptile,fish,amphibian"),
            Case({"animal": "echidna"}, "mammal//mammal,bird,reptile,fish,amphibian"),
        ),
    ),
    Template(
        name="classify_complexity",
        task="classification",
        check="label",
        wording="Is the running time {task} constant, logarithmic, linear or quadratic in n?",
        paraphrases=(
            "What growth has the running time {task}: constant, logarithmic, linear or quadratic in n?",
            "Classify the time needed {task} as constant, logarithmic, linear or quadratic in n.",
            "Constant, logarithmic, linear, quadratic: which one describes the time {task}, as n grows?",
            "With n growing, is the time {task} quadratic, linear, logarithmic or constant?",
            "Pick the label for the cost in n {task} - linear, quadratic, constant or logarithmic.",
        ),
        cases=(
            Case(
                {"task": "to find a value in a sorted array of n numbers by binary search"},
                "logarithmic//constant,logarithmic,linear,quadratic",
            ),
            Case(
                {"task": "to add up all numbers of an array of length n"},
                "linear//constant,logarithmic,linear,quadratic",
            ),
            Case(
                {"task": "to read the element at index 5 of an array of length n"},
                "constant//constant,logarithmic,linear,quadratic",
            ),
            Case(
                {"task": "to sort n numbers by insertion sort in the worst case"},
                "quadratic//constant,logarithmic,linear,quadratic",
            ),
        ),
    ),
)
