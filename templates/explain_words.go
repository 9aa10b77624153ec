package templates

// words is what Explain says in one language. Rules speak for themselves.
type words struct {
	Tag       string // of the language, RFC 5646
	Name      string // of what this is
	Title     string
	Lead      string
	Device    string
	Blocking  string
	Others    string
	Until     string // %s is a date
	More      string
	NewTab    string
	Check     string
	CheckHint string
	Continue  string
	Onward    string // what Continue leads to
	Again     string // %s is a time of day
	GoodUntil string // %s is a time of day
	Reference string

	dateForm string // of day, month, year and time of day
	first    string // how the first day of a month is written; empty: 1
	months   [12]string
}

var explainWords = [languages]words{
	English: {
		Tag:       "en",
		Name:      "Device check",
		Title:     "This device does not meet all requirements",
		Lead:      "Your organisation manages this device. Please put right what is listed here, then choose “Check again”.",
		Device:    "This device:",
		Blocking:  "To be put right now",
		Others:    "To be put right soon",
		Until:     "Accepted until %s",
		More:      "More about this",
		NewTab:    "opens in a new tab",
		Check:     "Check again",
		CheckHint: "Checking can take a few seconds.",
		Continue:  "Continue to Okta",
		Onward:    "If you continue without a change, Okta decides what you can use from this device.",
		Again:     "Checked again at %s. What is listed here is still to be put right.",
		GoodUntil: "This page can be used until %s. After that, please start again from the application that you wanted to use.",
		Reference: "Reference number",
		dateForm:  "%s %s %d, %s",
		months:    [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	},
	German: {
		Tag:       "de",
		Name:      "Geräteprüfung",
		Title:     "Dieses Gerät erfüllt nicht alle Anforderungen",
		Lead:      "Ihre Organisation verwaltet dieses Gerät. Bitte beheben Sie, was hier aufgeführt ist, und wählen Sie dann „Erneut prüfen“.",
		Device:    "Dieses Gerät:",
		Blocking:  "Jetzt zu beheben",
		Others:    "Demnächst zu beheben",
		Until:     "Zulässig bis %s",
		More:      "Weitere Informationen",
		NewTab:    "öffnet einen neuen Tab",
		Check:     "Erneut prüfen",
		CheckHint: "Die Prüfung kann einige Sekunden dauern.",
		Continue:  "Weiter zu Okta",
		Onward:    "Wenn Sie ohne Änderung fortfahren, entscheidet Okta, was Sie mit diesem Gerät nutzen können.",
		Again:     "Erneut geprüft um %s. Was hier aufgeführt ist, muss noch behoben werden.",
		GoodUntil: "Diese Seite können Sie bis %s verwenden. Beginnen Sie danach bitte neu in der Anwendung, die Sie nutzen wollten.",
		Reference: "Referenznummer",
		dateForm:  "%s. %s %d, %s",
		months:    [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
	},
	Spanish: {
		Tag:       "es",
		Name:      "Comprobación del dispositivo",
		Title:     "Este dispositivo no cumple todos los requisitos",
		Lead:      "Su organización administra este dispositivo. Corrija lo que se indica aquí y elija después «Comprobar de nuevo».",
		Device:    "Este dispositivo:",
		Blocking:  "Debe corregirse ahora",
		Others:    "Debe corregirse próximamente",
		Until:     "Se admite hasta el %s",
		More:      "Más información",
		NewTab:    "se abre en una pestaña nueva",
		Check:     "Comprobar de nuevo",
		CheckHint: "La comprobación puede tardar unos segundos.",
		Continue:  "Continuar a Okta",
		Onward:    "Si continúa sin hacer cambios, Okta decidirá qué puede utilizar desde este dispositivo.",
		Again:     "Comprobado de nuevo a las %s. Lo que se indica aquí aún debe corregirse.",
		GoodUntil: "Puede utilizar esta página hasta las %s. Después, empiece de nuevo desde la aplicación que deseaba utilizar.",
		Reference: "Número de referencia",
		dateForm:  "%s de %s de %d, %s",
		months:    [12]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"},
	},
	French: {
		Tag:       "fr",
		Name:      "Vérification de l’appareil",
		Title:     "Cet appareil ne répond pas à toutes les exigences",
		Lead:      "Votre organisation gère cet appareil. Veuillez corriger ce qui est indiqué ici, puis choisir «\u00a0Vérifier à nouveau\u00a0».",
		Device:    "Cet appareil\u00a0:",
		Blocking:  "À corriger maintenant",
		Others:    "À corriger prochainement",
		Until:     "Toléré jusqu’au %s",
		More:      "En savoir plus",
		NewTab:    "s’ouvre dans un nouvel onglet",
		Check:     "Vérifier à nouveau",
		CheckHint: "La vérification peut prendre quelques secondes.",
		Continue:  "Continuer vers Okta",
		Onward:    "Si vous continuez sans rien changer, Okta décidera de ce que vous pouvez utiliser depuis cet appareil.",
		Again:     "Nouvelle vérification à %s. Ce qui est indiqué ici reste à corriger.",
		GoodUntil: "Vous pouvez utiliser cette page jusqu’à %s. Ensuite, veuillez recommencer depuis l’application que vous vouliez utiliser.",
		Reference: "Numéro de référence",
		dateForm:  "%s %s %d, %s",
		first:     "1er",
		months:    [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	},
	Japanese: {
		Tag:       "ja",
		Name:      "デバイスの確認",
		Title:     "このデバイスは一部の要件を満たしていません",
		Lead:      "このデバイスは組織によって管理されています。以下の項目に対応してから、「もう一度確認する」を選択してください。",
		Device:    "このデバイス：",
		Blocking:  "今すぐ対応が必要な項目",
		Others:    "近いうちに対応が必要な項目",
		Until:     "%sまで許容されます",
		More:      "詳細情報",
		NewTab:    "新しいタブで開きます",
		Check:     "もう一度確認する",
		CheckHint: "確認には数秒かかることがあります。",
		Continue:  "Okta に進む",
		Onward:    "変更せずに進んだ場合、このデバイスで何を利用できるかは Okta が判断します。",
		Again:     "%sにもう一度確認しました。以下の項目には、まだ対応が必要です。",
		GoodUntil: "このページは%sまで利用できます。それ以降は、利用したいアプリケーションからもう一度やり直してください。",
		Reference: "参照番号",
		dateForm:  "%[3]d年%[2]s%[1]s日 %[4]s",
		months:    [12]string{"1月", "2月", "3月", "4月", "5月", "6月", "7月", "8月", "9月", "10月", "11月", "12月"},
	},
}
