"""Questions asked in fifteen languages, each template and its rewordings in one of them."""

from scripts.panel.template import Case, Template

TEMPLATES: tuple[Template, ...] = (
    Template(
        name="german_shopping",
        task="language",
        check="number",
        wording="{name} kauft {n} Hefte zu je {price} Euro und zahlt mit einem {note}-Euro-Schein. Wie viele "
        "Euro bekommt {name} zurück?",
        paraphrases=(
            (
                "Ein Heft kostet {price} Euro. {name} nimmt {n} Stück und gibt dem Verkäufer {note} Euro. "
                "Wie hoch ist das Wechselgeld in Euro?"
            ),
            (
                "Wie viel Euro Rückgeld erhält {name}, wenn {n} Hefte je {price} Euro kosten und mit {note} "
                "Euro bezahlt wird?"
            ),
            (
                "{name} hat einen Schein über {note} Euro und kauft damit {n} Hefte für jeweils {price} "
                "Euro. Wie viel Geld bleibt übrig?"
            ),
            (
                "Mit {note} Euro bezahlt {name} {n} Hefte, jedes für {price} Euro. Berechne das Rückgeld in "
                "Euro."
            ),
            (
                "Der Preis pro Heft ist {price} Euro, {name} kauft {n} davon und legt {note} Euro hin. Was "
                "kommt zurück?"
            ),
        ),
        cases=(
            Case({"name": "Jana", "n": 6, "price": 7, "note": 50}, "8"),
            Case({"name": "Uwe", "n": 2, "price": 3, "note": 10}, "4"),
            Case({"name": "Silke", "n": 13, "price": 6, "note": 100}, "22"),
            Case({"name": "Bernd", "n": 17, "price": 9, "note": 200}, "47"),
        ),
    ),
    Template(
        name="french_translate_word",
        task="language",
        check="contains",
        wording="Comment dit-on « {word} » en anglais ?",
        paraphrases=(
            "Traduis le mot « {word} » en anglais.",
            "Quel est le mot anglais pour « {word} » ?",
            "En anglais, « {word} » se dit comment ?",
            "Donne la traduction anglaise du mot français « {word} ».",
            "Un Anglais, quel mot emploie-t-il pour « {word} » ?",
        ),
        cases=(
            Case({"word": "l'écureuil"}, "squirrel"),
            Case({"word": "le pain"}, "bread"),
            Case({"word": "le parapluie"}, "umbrella"),
            Case({"word": "le hérisson"}, "hedgehog"),
        ),
    ),
    Template(
        name="spanish_opposite",
        task="language",
        check="contains",
        wording="¿Cuál es el antónimo de la palabra «{word}» en español?",
        paraphrases=(
            "Di lo contrario de «{word}» con una palabra española.",
            "¿Qué adjetivo español significa lo opuesto de «{word}»?",
            "En español, ¿lo contrario de «{word}» es qué palabra?",
            "Busca una palabra española de sentido opuesto a «{word}».",
            "Escribe el adjetivo que se opone a «{word}» en nuestro idioma, el español.",
        ),
        cases=(
            Case({"word": "lleno"}, "vacío|vacio|vacía|vacia"),
            Case({"word": "alto"}, "bajo|baja"),
            Case({"word": "mojado"}, "seco|seca"),
            Case({"word": "tacaño"}, "generoso|generosa|dadivoso|espléndido|desprendido"),
        ),
    ),
    Template(
        name="italian_ages",
        task="language",
        check="number",
        wording="{name} ha {age} anni e suo padre ha {factor} volte la sua età. Quanti anni avrà il padre "
        "fra {years} anni?",
        paraphrases=(
            (
                "Il padre di {name} ha un'età pari a {factor} volte quella di {name}, che ha {age} anni. Che "
                "età avrà il padre tra {years} anni?"
            ),
            (
                "Oggi {name} ha {age} anni; il padre ne ha {factor} volte tanti. Fra {years} anni quanti ne "
                "avrà il padre?"
            ),
            (
                "Calcola l'età del padre di {name} fra {years} anni, se {name} ha ora {age} anni e il padre "
                "{factor} volte tanto."
            ),
            (
                "Fra {years} anni, quanti anni compirà il padre di {name}, sapendo che oggi {name} ne ha "
                "{age} e che l'età del padre è {factor} volte tanto?"
            ),
            (
                "{name}: {age} anni. Il padre: {factor} volte questa età. Qual è l'età del padre dopo "
                "{years} anni?"
            ),
        ),
        cases=(
            Case({"name": "Lucia", "age": 12, "factor": 4, "years": 7}, "55"),
            Case({"name": "Marco", "age": 10, "factor": 3, "years": 5}, "35"),
            Case({"name": "Elena", "age": 14, "factor": 3, "years": 19}, "61"),
            Case({"name": "Pietro", "age": 17, "factor": 3, "years": 26}, "77"),
        ),
    ),
    Template(
        name="portuguese_capital",
        task="language",
        check="contains",
        wording="Qual é a capital {country}?",
        paraphrases=(
            "Diga o nome da capital {country}.",
            "Como se chama a cidade que é a capital {country}?",
            "Que cidade é a capital {country}?",
            "A capital {country} é que cidade?",
            "Gostaria de saber qual cidade é hoje a capital {country}.",
        ),
        cases=(
            Case({"country": "da Austrália"}, "Camberra|Canberra"),
            Case({"country": "do Brasil"}, "Brasília|Brasilia"),
            Case({"country": "de Moçambique"}, "Maputo"),
            Case({"country": "da Nova Zelândia"}, "Wellington"),
        ),
    ),
    Template(
        name="dutch_train",
        task="language",
        check="number",
        wording="Een trein rijdt {speed} km per uur en vertrekt om {start} uur. Hoeveel kilometer heeft hij "
        "om {end} uur gereden?",
        paraphrases=(
            (
                "Om {start} uur vertrekt een trein met een snelheid van {speed} km per uur. Hoeveel "
                "kilometer is er om {end} uur afgelegd?"
            ),
            (
                "Bereken de afstand in kilometers: een trein rijdt van {start} uur tot {end} uur met {speed} "
                "km per uur."
            ),
            (
                "Welke afstand (in km) legt een trein af die tussen {start} en {end} uur steeds {speed} km "
                "per uur rijdt?"
            ),
            "Van {start} uur tot {end} uur rijdt een trein, {speed} km per uur. Hoeveel kilometer is dat?",
            (
                "De snelheid van een trein is {speed} km per uur. Hij rijdt van {start} tot {end} uur zonder "
                "te stoppen. Wat is de afstand in km?"
            ),
        ),
        cases=(
            Case({"speed": 84, "start": "9.15", "end": "11.45"}, "210"),
            Case({"speed": 100, "start": "8.00", "end": "10.00"}, "200"),
            Case({"speed": 120, "start": "13.30", "end": "15.00"}, "180"),
            Case({"speed": 96, "start": "6.50", "end": "8.35"}, "168"),
        ),
    ),
    Template(
        name="polish_count_left",
        task="language",
        check="number",
        wording="W sadzie zebrano {total} jabłek. {part} z nich sprzedano, a {given} oddano szkole. Ile "
        "jabłek zostało?",
        paraphrases=(
            (
                "Z {total} jabłek zebranych w sadzie sprzedano {part}, a szkole oddano {given}. Ile jabłek "
                "jeszcze jest?"
            ),
            (
                "Zebrano {total} jabłek. Szkoła dostała {given}, sprzedano też {part} całego zbioru. Podaj, "
                "ile zostało."
            ),
            "Ile jabłek zostanie z {total}, jeśli {part} wszystkich się sprzeda, a {given} odda szkole?",
            (
                "Sad dał {total} jabłek; sprzedano {part} całości i oddano szkole {given}. Jaka liczba "
                "jabłek zostaje?"
            ),
            "Oblicz, ile jabłek zostało: było {total}, {part} wszystkich sprzedano, {given} dostała szkoła.",
        ),
        cases=(
            Case({"total": 240, "part": "dwie trzecie", "given": 35}, "45"),
            Case({"total": 40, "part": "połowę", "given": 5}, "15"),
            Case({"total": 360, "part": "trzy czwarte", "given": 28}, "62"),
            Case({"total": 450, "part": "trzy piąte", "given": 47}, "133"),
        ),
    ),
    Template(
        name="turkish_week_month",
        task="language",
        check="number",
        wording="{item} kaç tanedir?",
        paraphrases=(
            "{item} kaç adettir, sayı olarak yaz.",
            "Söyler misin, {item} kaç tane eder?",
            "Şunun sayısını ver: {item}. Kaç?",
            "Bil bakalım: {item} toplam kaçtır?",
            "Soru şu: {item} kaç tane olur?",
        ),
        cases=(
            Case({"item": "Üç haftadaki günler"}, "21"),
            Case({"item": "Bir yıldaki aylar"}, "12"),
            Case({"item": "İki buçuk düzine yumurta"}, "30"),
            Case({"item": "Bir buçuk gündeki dakikalar"}, "2160"),
        ),
    ),
    Template(
        name="russian_translate_word",
        task="language",
        check="contains",
        wording="Как по-английски будет слово «{word}»?",
        paraphrases=(
            "Переведи слово «{word}» на английский язык.",
            "Каким английским словом называют то, что по-русски «{word}»?",
            "Назови английский перевод русского слова «{word}».",
            "Что значит «{word}» по-английски?",
            "Подскажи, как англичанин скажет «{word}».",
        ),
        cases=(
            Case({"word": "черепаха"}, "turtle|tortoise"),
            Case({"word": "вода"}, "water"),
            Case({"word": "молоток"}, "hammer"),
            Case({"word": "муравей"}, "ant"),
        ),
    ),
    Template(
        name="chinese_word_problem",
        task="language",
        check="number",
        wording="{name}有{a}本书,借给同学{b}本,又买了{c}盒书,每盒{d}本。{name}手上现在有几本书?",
        paraphrases=(
            "{name}原来有{a}本书。借出{b}本,然后买来{c}盒,一盒有{d}本。现在{name}手里有多少本书?",
            "请计算:{name}有书{a}本,借出去{b}本,新买{c}盒,每盒装{d}本,现在手头有多少本?",
            "如果{name}有{a}本书,借给别人{b}本,再买{c}盒(每盒{d}本),那么他手上一共有多少本书?",
            "{name}买了{c}盒书,每盒{d}本;买之前他有{a}本,但借出了{b}本。问他现在手中有几本。",
            "{name}的书架上有{a}本书,借给朋友{b}本以后,又添了{c}盒,每盒{d}本。现在书架上有多少本书?",
        ),
        cases=(
            Case({"name": "小明", "a": 46, "b": 19, "c": 4, "d": 13}, "79"),
            Case({"name": "小红", "a": 10, "b": 4, "c": 1, "d": 5}, "11"),
            Case({"name": "小刚", "a": 85, "b": 37, "c": 6, "d": 14}, "132"),
            Case({"name": "小丽", "a": 203, "b": 78, "c": 17, "d": 18}, "431"),
        ),
    ),
    Template(
        name="japanese_number_fact",
        task="language",
        check="number",
        wording="{thing}はいくつですか。数字で教えてください。",
        paraphrases=(
            "{thing}を数字で言うといくつになりますか。",
            "質問です。{thing}はどれだけでしょう。数で書いてください。",
            "{thing}の数を教えて。",
            "次の数を答えてください:{thing}。",
            "ねえ、{thing}っていくつ?数字でお願い。",
        ),
        cases=(
            Case({"thing": "日本の都道府県の合計"}, "47"),
            Case({"thing": "サイコロの面"}, "6"),
            Case({"thing": "正二十面体の頂点"}, "12"),
            Case({"thing": "俳句一句の標準の音の合計"}, "17"),
        ),
    ),
    Template(
        name="korean_arithmetic",
        task="language",
        check="number",
        wording="한 상자에 귤이 {a}개씩 {b}상자 있습니다. 그중 {c}개를 먹고 나머지를 {d}명이 똑같이 나누면 "
        "한 사람이 몇 개를 받습니까?",
        paraphrases=(
            (
                "귤 {b}상자가 있고 상자마다 {a}개가 들어 있습니다. {c}개를 먹은 뒤 {d}명이 똑같이 나누어 "
                "가지면 한 명의 몫은 몇 개입니까?"
            ),
            (
                "{a}개들이 귤 {b}상자에서 {c}개를 먹었습니다. 남은 귤을 {d}명에게 똑같이 나누어 주면 각자 몇 "
                "개를 받나요?"
            ),
            (
                "한 사람의 몫을 구하세요: 귤이 {a}개씩 {b}상자, 먹은 것이 {c}개, 남은 것을 {d}명이 똑같이 "
                "나눕니다."
            ),
            (
                "상자 {b}개에 귤이 {a}개씩 있었는데 {c}개를 먹었어요. {d}명이 나머지를 똑같이 나누면 한 "
                "사람당 몇 개일까요?"
            ),
            (
                "{d}명이 귤을 똑같이 나누려고 합니다. {a}개씩 든 상자가 {b}개 있었고 이미 {c}개를 먹었다면 "
                "한 명은 몇 개를 가지게 됩니까?"
            ),
        ),
        cases=(
            Case({"a": 24, "b": 5, "c": 15, "d": 7}, "15"),
            Case({"a": 10, "b": 2, "c": 2, "d": 3}, "6"),
            Case({"a": 18, "b": 6, "c": 12, "d": 8}, "12"),
            Case({"a": 36, "b": 14, "c": 27, "d": 9}, "53"),
        ),
    ),
    Template(
        name="arabic_translate_word",
        task="language",
        check="contains",
        wording="ما معنى كلمة «{word}» باللغة الإنجليزية؟",
        paraphrases=(
            "ترجم كلمة «{word}» إلى الإنجليزية.",
            "كيف نقول «{word}» بالإنجليزية؟",
            "اذكر الكلمة الإنجليزية التي تقابل «{word}».",
            "ما هي ترجمة «{word}» من العربية إلى الإنجليزية؟",
            "أريد أن أعرف مقابل كلمة «{word}» في اللغة الإنجليزية.",
        ),
        cases=(
            Case({"word": "نافذة"}, "window"),
            Case({"word": "كتاب"}, "book"),
            Case({"word": "فراشة"}, "butterfly"),
            Case({"word": "ملعقة"}, "spoon"),
        ),
    ),
    Template(
        name="hindi_word_problem",
        task="language",
        check="number",
        wording="एक किलो आम का दाम {price} रुपये है। {name} ने {kg} किलो आम खरीदे और {off} रुपये की छूट "
        "मिली। उसने कितने रुपये दिए?",
        paraphrases=(
            (
                "{name} ने {price} रुपये प्रति किलो के भाव से {kg} किलो आम लिए। {off} रुपये की छूट के बाद "
                "कुल कितने रुपये देने पड़े?"
            ),
            "आम {price} रुपये किलो हैं। अगर {name} {kg} किलो खरीदे और दुकानदार {off} रुपये कम कर दे, तो कितने रुपये लगेंगे?",
            "{kg} किलो आम, हर किलो {price} रुपये का, और कुल में {off} रुपये की छूट: {name} ने कितना पैसा दिया?",
            (
                "बताइए कि {name} को कितने रुपये चुकाने होंगे, यदि {kg} किलो आम {price} रुपये किलो के हैं और "
                "{off} रुपये घटा दिए जाएँ।"
            ),
            (
                "दुकान में आम का भाव {price} रुपये प्रति किलो है; {name} {kg} किलो लेता है और पूरे दाम पर "
                "{off} रुपये की छूट पाता है। वह कितने रुपये देता है?"
            ),
        ),
        cases=(
            Case({"name": "रवि", "price": 85, "kg": 4, "off": 25}, "315"),
            Case({"name": "मोहन", "price": 50, "kg": 2, "off": 10}, "90"),
            Case({"name": "अमित", "price": 120, "kg": 3, "off": 45}, "315"),
            Case({"name": "सोहन", "price": 135, "kg": 7, "off": 68}, "877"),
        ),
    ),
    Template(
        name="swedish_opposite",
        task="language",
        check="contains",
        wording='Vad är motsatsen till ordet "{word}" på svenska?',
        paraphrases=(
            'Skriv det svenska ord som är motsats till "{word}".',
            'Vilket svenskt ord betyder raka motsatsen till "{word}"?',
            'Ge mig en antonym på svenska till "{word}".',
            'Om något inte är "{word}" utan tvärtom, vilket svenskt ord passar då?',
            'Motsatsordet till "{word}" heter på svenska vad?',
        ),
        cases=(
            Case({"word": "tung"}, "lätt"),
            Case({"word": "varm"}, "kall"),
            Case({"word": "tidig"}, "sen"),
            Case({"word": "bred"}, "smal|trång"),
        ),
    ),
)
