# ruff: noqa: RUF001 - letters of other alphabets look like Latin ones
"""Texts for synthetic speech: word pools of our own making, put together at random.

Meaning does not matter for lips; what matters is that all sounds meet all others, in several languages, with the pauses
and melodies that punctuation brings.
"""

import numpy as np

WORDS: dict[str, str] = {
    "en": """the a my your we they people morning window about over people maybe never happy purple bubble summer paper family problem
        moving forward very beautiful five voices water weather when where which think nothing father mother together breathe smooth
        school good look could food moon blue shoe true use music few new year young yellow yes easy leave keep speak green sleep dream
        big little quick listen city visit minute ask answer after laugh half heart start car far garden market art large all call
        small talk thought bought morning story order four door more boy enjoy noise voice point out house now town around sound
        time light night fine mine idea air care there share here near clear remember number company member October September
        probably possible important government president thank tomorrow wonderful world work word learn first person early""",
    "de": """das Haus mein Freund wir haben morgen Abend Wetter Fenster über Brücke schön grün für müssen können hören böse
        öffnen Bäume Häuser heute neu Freude Pause auch Frau bauen Papier Bombe immer Mama Sommer Wasser Vater vier fünf fahren
        sprechen machen lachen ich nicht Licht Kirche Küche Buch suchen Schule Spiel Stein Zeit zwei ganz jetzt Platz Pferd Apfel
        Kopf klein groß Straße lesen sehen leben geben lieben Bilder bitte mitten Rom oben wohnen Mond Uhr gut Blume rufen Qualität""",
    "fr": """bonjour madame monsieur le matin la pluie nous avons toujours une petite maison bleue près du pont vous pouvez
        parler plus fort peut-être jamais beaucoup de bons amis vin blanc pain chaud lune brune feu peu deux heureux coeur soeur
        beurre fleur été parler musique rue tu vu sûr nuit lui puis huit moi toi voir trois enfant temps grand ange semble long
        monde bombe papa maman film femme famille champ jambe chien bien rien soleil fille travail jeune fromage voyage""",
    "es": """buenos días mi amigo la casa nueva siempre hablamos mucho de la vida por favor mañana viene una familia pequeña
        papá mamá bomba pueblo puerta fuego agua bueno nueve jueves lluvia calle niño año español gente jugar rojo perro carro
        cielo zapato hacer voz luz azul blanco libro problema importante música tiempo fiesta feliz""",
    "it": """buongiorno amico mio la casa bella sempre parliamo molto della vita per favore domani viene una famiglia piccola
        papà mamma bomba popolo porta fuoco acqua buono nuovo giovedì pioggia figlio gnocchi anno giorno giallo rosso carta cielo
        scarpa fare voce luce azzurro bianco libro problema importante musica tempo festa felice quando quello questo""",
    "pt": """bom dia meu amigo a casa nova sempre falamos muito da vida por favor amanhã vem uma família pequena papai mamãe
        bomba povo porta fogo água mulher filho chuva janela gente jogar vermelho carro céu sapato fazer voz luz azul branco
        livro problema importante música tempo festa feliz coração pão mão""",
    "nl": """goedemorgen mijn vriend het nieuwe huis wij praten altijd veel over het leven morgen komt een kleine familie
        papa mama boom vuur water vijf deur muur buiten leuk deuk goed boek schip school zon maan blauw vrouw lopen wonen muziek
        feest prachtig bijna probleem eeuw""",
    "pl": """dzień dobry mój przyjacielu nowy dom zawsze mówimy dużo o życiu proszę jutro przyjdzie mała rodzina mama tata bomba
        ogień woda pięć drzwi wiosna zima książka szkoła słońce księżyc niebieski biały problem ważny muzyka czas święto wesoły""",
    "zh": """你好 我们 早上 朋友 妈妈 爸爸 不要 怕 明天 喝 水 飞 法国 风 房子 说话 中国 吃饭
        学习 雨 女儿 绿色 月亮 下午 可能 没有 问题 漂亮 北京 什么 多少 普通 音乐 跑步""",
    "sv": """god morgon min vän huset är nytt vi talar alltid mycket om livet kom hem familjen mamma pappa bomb vatten eld fem dörr
        sommar vinter bok skola sjö sju sköld kyrka tjugo blå gul grön röd musik öppna över bröd hund himmel brev månad""",
    "da": """godmorgen min ven huset er nyt vi taler altid meget om livet i morgen kommer en lille familie mor far bombe vand ild fem
        dør sommer vinter bog skole sø syv kirke blå gul grøn rød musik åben over brød hund himmel brev måned""",
    "nb": """god morgen min venn huset er nytt vi snakker alltid mye om livet i morgen kommer en liten familie mamma pappa bombe vann ild
        fem dør sommer vinter bok skole sjø syv kirke blå gul grønn rød musikk åpen over brød hund himmel brev måned""",
    "fi": """hyvää huomenta ystäväni talo on uusi puhumme aina paljon elämästä huomenna tulee pieni perhe äiti isä pommi vesi tuli viisi
        ovi kesä talvi kirja koulu järvi sininen punainen musiikki avoin leipä koira taivas kuukausi mummo pappa""",
    "cs": """dobré ráno můj příteli nový dům vždy mluvíme mnoho o životě prosím zítra přijde malá rodina máma táta bomba oheň voda pět
        dveře jaro zima kniha škola slunce měsíc modrý bílý problém důležitý hudba čas svátek veselý řeka""",
    "sk": """dobré ráno môj priateľ nový dom vždy hovoríme veľa o živote prosím zajtra príde malá rodina mama otec bomba oheň voda päť
        dvere jar zima kniha škola slnko mesiac modrý biely problém dôležitý hudba čas sviatok veselý""",
    "hu": """jó reggelt barátom az új ház mindig sokat beszélünk az életről kérem holnap jön egy kis család mama papa bomba tűz víz öt
        ajtó tavasz tél könyv iskola nap hold kék fehér probléma fontos zene idő ünnep vidám gyönyörű fölött""",
    "ro": """bună dimineața prietenul meu casa nouă mereu vorbim mult despre viață vă rog mâine vine o familie mică mama tata bombă foc
        apă bun ploaie fiu an zi galben roșu albastru alb problemă muzică timp sărbătoare fericit când""",
    "tr": """günaydın arkadaşım yeni ev her zaman hayat hakkında çok konuşuruz lütfen yarın küçük bir aile geliyor anne baba bomba ateş su
        beş kapı bahar kış kitap okul güneş ay mavi beyaz sorun önemli müzik zaman bayram mutlu göz üzüm""",
    "ru": """доброе утро мой друг новый дом мы всегда много говорим о жизни пожалуйста завтра придёт маленькая семья мама папа бомба огонь
        вода пять дверь весна зима книга школа солнце луна синий белый вопрос важный музыка время праздник""",
    "uk": """добрий ранок мій друже новий дім ми завжди багато говоримо про життя будь ласка завтра прийде мала родина мама тато бомба
        вогонь вода п'ять двері весна зима книга школа сонце місяць синій білий питання важливий музика час свято""",
    "el": """καλημέρα φίλε μου το σπίτι είναι νέο μιλάμε πάντα πολύ για τη ζωή παρακαλώ αύριο έρχεται μια μικρή οικογένεια μαμά μπαμπάς
        βόμβα φωτιά νερό πέντε πόρτα άνοιξη χειμώνας βιβλίο σχολείο ήλιος φεγγάρι μπλε άσπρο μουσική""",
    "ca": """bon dia amic meu la casa nova sempre parlem molt de la vida si us plau demà ve una família petita mare pare bomba foc aigua
        bo nou pluja fill any dia groc vermell blau blanc llibre problema important música temps festa feliç""",
    "hr": """dobro jutro moj prijatelju nova kuća uvijek puno govorimo o životu molim sutra dolazi mala obitelj mama tata bomba vatra voda
        pet vrata proljeće zima knjiga škola sunce mjesec plavi bijeli problem važan glazba vrijeme blagdan""",
    "id": """selamat pagi teman saya rumah baru kami selalu banyak bicara tentang hidup besok datang keluarga kecil ibu bapak bom api air
        lima pintu musim buku sekolah matahari bulan biru putih masalah penting musik waktu pesta bahagia""",
    "sw": """habari ya asubuhi rafiki yangu nyumba mpya sisi huzungumza sana kuhusu maisha kesho familia ndogo itakuja mama baba bomu moto
        maji tano mlango kitabu shule jua mwezi buluu nyeupe tatizo muhimu muziki wakati sherehe furaha""",
    "hi": """नमस्ते मेरे दोस्त नया घर हम हमेशा जीवन के बारे में बहुत बात करते हैं कल एक छोटा परिवार आएगा माँ पापा बम आग पानी पाँच
        किताब सूरज चाँद नीला सफ़ेद संगीत समय खुश फूल बारिश""",
    "ja": """おはよう わたし ともだち あたらしい いえ いつも はなす あした かぞく まま ぱぱ ばくだん ひ みず いつつ とびら ふゆ ほん
        がっこう たいよう つき あおい しろい もんだい おんがく じかん うみ ゆき""",
    "vi": """chào buổi sáng bạn của tôi nhà mới chúng tôi luôn nói nhiều về cuộc sống ngày mai một gia đình nhỏ sẽ đến mẹ bố bom lửa nước
        năm cửa mùa sách trường mặt trời xanh trắng vấn đề âm nhạc thời gian vui""",
}
VOICES: dict[str, tuple[str, ...]] = {
    "en": ("en-us", "en", "en-gb-x-rp", "en-029", "en-gb-scotland"),
    "es": ("es", "es-419"),
    "pt": ("pt", "pt-br"),
    "fr": ("fr", "fr-ch"),
    "zh": ("cmn",),
}
"""Accents of a language; a language that is not listed has one voice of its own name."""
LANGUAGES = tuple(WORDS)
_WEIGHTS = np.array([0.75 * len(LANGUAGES)] + [1.0] * (len(LANGUAGES) - 1))


def pick_language(rng: np.random.Generator) -> tuple[str, str]:
    """(language, espeak voice); English nearly half of the time."""
    language = str(rng.choice(LANGUAGES, p=_WEIGHTS / _WEIGHTS.sum()))
    return language, str(rng.choice(VOICES.get(language, (language,))))


def make_text(language: str, rng: np.random.Generator, words: int) -> str:
    """``words`` random words of ``language`` with commas, stops, questions and exclamations between them."""
    pool = WORDS[language].split()
    parts, run = [], 0
    for index in range(words):
        parts.append(str(rng.choice(pool)))
        run += 1
        last = index == words - 1
        if last or (run > 2 and rng.random() < 0.2):
            parts[-1] += str(rng.choice([",", ".", ".", "?", "!"])) if not last else "."
            run = 0
    return " ".join(parts)
