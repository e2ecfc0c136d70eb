"""Texts that the tests plant faults in: each good by itself, none like another."""

EN = [
    "The ferry left at dawn, and the harbour was so quiet that we could hear the ropes creak.",
    "My grandmother kept her recipes in a tin box under the stairs, each on a torn envelope.",
    "By noon the fog had lifted, and the far shore showed its orchards and three white farms.",
    "Nobody in the village remembered who had built the bridge, only that it had never failed.",
    "He counted the coins twice, wrapped them in a handkerchief and walked back to the market.",
    "Later, when the lamps were lit, the children asked for another story about the lighthouse.",
]
ZH = [
    "清晨的渡船离开码头时，港口安静得能听见缆绳的声响。",
    "外婆把菜谱放在楼梯下的铁盒里，每一张都写在旧信封上。",
    "到了中午，雾气散去，对岸的果园和三座白色农舍显露出来。",
    "村里没有人记得桥是谁修的，只知道它从来没有塌过。",
    "他把硬币数了两遍，用手帕包好，慢慢走回集市去。",
    "后来灯亮了，孩子们又要求再讲一个关于灯塔的故事。",
]
STORY, FABLE = " ".join(EN), "".join(ZH)

TALES = [
    "The market opened before sunrise, when the bakers carried their trays through the narrow lane "
    "and the cats waited under the fish stalls. Old Marta sold buttons there, thousands of them, "
    "sorted by colour in jars that had once held pickles. She knew every coat in town by what was "
    "missing from it. On Tuesday a stranger asked for a green one with four holes, and she had to "
    "admit that she had never seen its like.",
    "Rivers do not keep to the maps we draw of them. After the flood of that spring the channel lay "
    "two miles further east, and the ferryman found his landing in the middle of a bean field. He "
    "did not complain. He took down the sign, moved the bell to an apple tree, and began to grow "
    "beans. When people came to cross, he gave them soup and told them where the water had gone.",
    "The laboratory was on the fourth floor, above the dentist. Dr. Okafor worked there mostly at "
    "night, because the trams shook the instruments by day. Her question was simple: why do some "
    "seeds sleep for centuries and then wake within an hour of rain? She had a drawer of them from a "
    "dry cave, and each week she woke a few.",
    "A good bridge begins with its foundations. Engineers first study the soil, drilling cores at "
    "regular intervals and testing how each layer bears weight. They then choose between piles, "
    "caissons and spread footings. Cost matters, but so does the river, which may scour away the bed "
    "in a single winter. Only when these answers are clear does anyone draw the graceful arch that "
    "visitors will photograph.",
    "My uncle repaired clocks, though he was never on time himself. His shop smelled of oil and "
    "peppermint. Every hour, forty clocks struck within a minute of one another, and he would stand "
    "in the din with his eyes shut, listening for the one that lied. That one he took down, opened "
    "with a pin, and set beside his tea.",
    "Remote work changed the city slowly, then all at once. Cafes near the towers closed at three, "
    "and bakeries in the suburbs hired a second shift. Landlords held out for two years. By the "
    "third, half of the offices on Canal Street had been cut into flats with odd corridors and "
    "splendid light, and children learned to ride bicycles in the lobbies.",
    "When the snow closed the pass, seventeen travellers shared one inn. There was a piano that "
    "nobody could play, a priest who cheated at cards, and a girl who had read every book in the "
    "house by the second evening. So they told stories instead. The innkeeper wrote them down on the "
    "backs of old bills, and that is how we still have them.",
    "Soil is alive in a way that is easy to forget. A teaspoon of it holds more organisms than there "
    "are people on Earth: bacteria, fungi, mites, and threads of root as fine as silk. They trade "
    "with one another. Fungi bring phosphorus to a tree and receive sugar in return, and the bargain "
    "is older than flowers.",
]
ZH_TALES = [
    "老街的尽头有一家修伞铺，铺主姓林，今年七十三岁。他的手指粗短，却能把断掉的伞骨接得看不出痕迹。下"
    "雨的日子，门口排起长队；天晴的时候，他就坐在竹椅上给孩子们讲过去的事情。有人劝他收摊，他只是笑笑"
    "，说伞还没有修完。",
    "高原上的春天来得很晚，五月的河面还浮着薄冰。牧民次仁赶着羊群翻过山口，远远看见帐篷上升起的炊烟。"
    "妻子煮好了奶茶，女儿抱着刚出生的小羊跑过来，问它会不会记得自己的名字。次仁想了很久，说羊记得的是"
    "声音。",
    "人工智能正在改变医疗行业的许多环节。影像诊断系统可以在几秒钟内标出可疑的病灶，帮助医生缩短阅片时"
    "间；语音识别减轻了书写病历的负担。不过，技术并不能代替医患之间的信任，如何划分责任仍然需要法律与"
    "伦理的共同回答。",
    "图书馆的旧馆在山坡上，要走一百零八级台阶。管理员沈阿姨在那里工作了三十年，记得每一本书的位置。闭"
    "馆那天，她把最后一批书装进纸箱，忽然从一本诗集里掉出一张车票，日期是她参加工作的第一天。",
    "城市的地下有另一座城市。电缆、水管和隧道交错在一起，像一张看不见的网。夜里两点，检修工人老周打着"
    "手电走进管廊，听见远处传来水流的声音。他说，地面上的人睡得安稳，是因为下面有人醒着。",
    "茶树喜欢云雾，也喜欢微酸的土壤。清明前后，茶农天不亮就上山，手指在枝头飞快地起落，只取一芽一叶。"
    "鲜叶摊晾之后下锅杀青，火候全凭手掌的感觉。好茶入口微苦，回味却甘甜悠长，如同山里人的日子。",
    "台风登陆的那个夜晚，码头上的灯全灭了。陈船长守在驾驶室里，听着缆绳一根一根绷紧的响声。天快亮的时"
    "候，风忽然停了，海面平得像一面镜子。他走到甲板上，看见一只海鸟落在桅杆顶端，慢慢收起了翅膀。",
    "考古队在沙丘下面发现了一口古井，井壁用红柳和黏土层层夯成。井底的陶罐里装着几粒小麦，经过测定，距"
    "今已有两千一百年。队长小心地把它们取出来，像捧着一封没有拆开的信。",
]
"""Eight longer ones a language, English and Chinese."""
