"""The language of a text, told by its script and its commonest words."""

import pytest

from vllm_quality.datasets.traffic.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("환불은 며칠 걸리나요?", "ko"),
        ("React의 useEffect에서 cleanup function은 언제 호출돼?", "ko"),
        ("이 오류가 왜 나나요?\n```python\n" + "print('hello world')\n" * 50 + "```", "ko"),
        ("How do I reset my password?", "en"),
        ("What does 김치 mean in English, and how is it made at home by Korean families?", "en"),
        ("返品はどうすればいいですか", "ja"),
        ("東京都の人口は何人ですか", "ja"),
        ("怎么重置我的密码", "zh"),
        ("Wie kann ich mein Passwort ändern, und was ist zu tun?", "de"),
        ("Comment est-ce que je peux changer le mot de passe ?", "fr"),
        ("¿Cómo puedo cambiar la contraseña de mi cuenta?", "es"),
        ("Как сменить пароль?", "ru"),
        ("Làm thế nào để đổi mật khẩu của tôi?", "vi"),
        ("SELECT id LIMIT 10", "und-Latn"),
        ("Hyvää päivää", "und-Latn"),
        ("12 + 34 = ?", "und"),
        ("", "und"),
        ("<PHONE_k7q2m3n4p5> <EMAIL>", "und"),
        ("<PHONE_k7q2m3n4p5>로 연락 주세요", "ko"),
        ("https://example.com/the/path/of/this 요약해 줘", "ko"),
    ],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language
