"""Words that look like names where a rule for names finds them."""

# Two and three syllables that begin like a surname, and stand before 씨, 님, a title, or behind a label.
_KOREAN = """
    가정용 가족 강사님 강연자 강조 개발자 경영 고객 고객사 고마운 고모부 고민 고소인 고용인 고용주 고유 고정
    고추 공급자 공무원 공유 공인중 공지 관리자 교인 구독자 구매자 구매팀 구성 구조원 구직자 구청장 국가 국가인
    국문 국제인 국회의 기관사 기능사 기본 기술사 기술자 기업가 기업인 기자 기재 기준 기타 기혼자 기획 길수록 길동무
    김매기 나이 남동생 남미인 남성 남자분 남편 노동자 노무사 노인 대리인 도매상 도메인 도시 도예가 도우미 도의원
    독신자 동기 동일 마무리 마사지 마을 마음 마지막 명단 명령 명시 명예 명인 모녀 모델명 모두 모자 무명 무서운
    무역상 문서 문외한 문의 문의자 문자 문자열 문제 문학인 문화인 문화재 미상 미용사 미장이 미정 민간인 민원인
    방문객 방문자 방송인 방위병 방장 방청객 배달원 배우자 배추 백성 백의 법무팀 변경 변리사 변수 변호사 변호인
    보증인 보호자 부동산 부모 사용자 상담사 상담원 상사 상태 서기관 서로 서무 서비스 서양인 서울 석사 선교사
    선물 선배 선생 선생님 선수 선원 선택 설계사 설립자 설명 성도 성명 성별 성실한 성인 성직자 성형외 소비자
    소상공 소설가 소유 소유자 소유주 소장 소중한 손글 손주 손해사 송금인 송무 수강생 수신자 수의사 수험생 순수한
    시의원 시청자 신규 신도 신랑 신부 신부님 신분 신사 신입 신자 신제품 신중한 신청인 신청자 신혼부 심사관
    심사원 안내 안내원 안내자 양육자 양파 어르신 어린이 어머니 엄마 여기 여동생 여러분 여부 여사장 여성 여자
    여행사 여행자 연구관 연구사 연구생 연구소 연구실 연구원 연구자 연기자 연도 연방 연사 연소자 연수생 연예인
    연인 영문 영어 영업 영업부 영업팀 오류 오이 오전 오후 외국인 용도 용의자 우리 우선 우수 우승자 우주인
    우체부 운영자 운전사 운전자 원고 원래 원무과 원생 원어민 원인 원장 위원 위원장 위치 유가족 유능한 유망주
    유명 유명한 유무 유아용 유일 유저 유지 유채 유치 유치원 유학생 유형 육아 은행원 음악가 의뢰인 의사 이것
    이동 이모부 이미 이번 이분 이비인 이사 이상 이상하 이상한 이용자 이웃 이유 이장 이전 이제 이후 익명 인간
    인간인 인도인 인물 인사 인사과 인사부 인사팀 인솔자 인턴 인턴의 임대인 임산부 임시 임원 임원진 임의 임직원
    임차인 자동차 작가 장관 장군 장기 장남 장녀 장모 장소 장수 장애우 장애인 장인 장점 재무 저분 전공 전공의
    전기 전도사 전무 전문 전문가 전문의 전문인 전산부 전산실 전우 전원 전임 전자 전체 전통 전화 정규직 정도
    정보 정비사 정상 정수기 정신 정신과 정원사 정의 정지 정직한 정치가 정치인 정해진 정형외 제목 제삼자 제외
    제작사 제작자 제조사 제조원 제한 조건 조교사 조금 조부모 조사관 조사원 조상 조용 조원 조장 조종사 조카 조합원
    조합장 조회 주관사 주교 주무관 주문자 주민 주민센 주방장 주부 주사 주소 주식 주원인 주유 주의 주인 주인공
    주인장 주장 주재원 주제 주주 주치의 중개사 지구 지금 지도 지도교 지도자 지리 지방 지배인 지사장 지연 지원부
    지원자 지원팀 지인 지점장 지정 지하 지휘자 진료실 진정한 진짜 진행자 참석자 채권자 채무자 책임자 천사 천재
    총무과 총무부 최고 최우수 최종 최초 추가 추천인 친구 판매자 표시 하나 하나만 하느 하인 학부모 학생 한가한
    한국사 한국어 한국인 한글 한민족 한번 한의사 한의원 한인 한자 행정 현대인 현명 현재 현지인 형사 형제 홍보과
    홍보부 홍보실 홍보팀 화가 환경부 환자 황제 회사원 회원
"""
_ENGLISH = """
    a admin administrator all ambassador an and applicant at candidate chair chairman chairwoman client clients
    colleague colleagues column committee company congressman customer customers dad date diary display editor
    everyone field file first for friend friends full guest here hiring human id if in is it last madam manager
    mayor member members minister mom my name names neighbor neighbour none not null number occupant of on optional
    or parent parents pepper please president prime product prospective reader readers recruiter required resident
    resources right santa secretary senator service sir speaker string student students support table teacher team
    text that the this to type user users value valued vice when with your strange bean who evil dre seuss martens oetker
"""
NO_NAME_KO = frozenset(_KOREAN.split())
NO_NAME_EN = frozenset(_ENGLISH.split())
