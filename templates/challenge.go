package templates

import "fmt"

// Challenge asks the user to have the agent on the device say which device it is.
// One form opens a small window that goes to the agent by way of Ask and comes
// back to an Answered; the other takes what came of it to Action, with the fields
// "ticket", "choice" ("answer", or "continue" for going on without) and "answer".
// It needs script; without, only going on without is possible.
type Challenge struct {
	Language  Language
	Ask       string // that takes the ticket and redirects to the agent, an http or https URL
	Action    string // that takes the answer, an http or https URL
	Ticket    string // base64url
	SignIn    string // that the answer must be for
	Reference string
}

// Answered is where the small window ends. It hands the answer, which is in the
// fragment of its address, to the page that waits for it, and closes.
type Answered struct {
	Language  Language
	Reference string
}

func (Challenge) file() string { return "challenge.html" }
func (Answered) file() string  { return "answered.html" }

// asking is a Challenge with its words.
type asking struct {
	Challenge
	Words challengeWords
}

// answering is an Answered with its words.
type answering struct {
	Answered
	Words challengeWords
}

func (p Challenge) render(nonce string) ([]byte, error) {
	if p.Language < 0 || p.Language >= languages {
		return nil, fmt.Errorf("language %d is not known", p.Language)
	}
	if !isWeb(p.Ask) || !isWeb(p.Action) {
		return nil, fmt.Errorf("%q or %q is not an http or https URL", p.Ask, p.Action)
	}
	return execute(asking{p, challengeTexts[p.Language]}, nonce)
}

func (p Answered) render(nonce string) ([]byte, error) {
	if p.Language < 0 || p.Language >= languages {
		return nil, fmt.Errorf("language %d is not known", p.Language)
	}
	return execute(answering{p, challengeTexts[p.Language]}, nonce)
}

// challengeWords is what both pages say in one language.
type challengeWords struct {
	Tag       string // of the language, RFC 5646
	Name      string // of what this is
	Title     string
	Lead      string
	Check     string
	Hint      string
	Checking  string
	Absent    string // no agent answered
	AbsentDo  string // what to do about it
	Again     string
	Continue  string
	Onward    string // what Continue leads to
	NoScript  string
	Reference string
	DoneTitle string
	Done      string
}

var challengeTexts = [languages]challengeWords{
	English: {
		Tag: "en", Name: "Device check", Title: "Check this device",
		Lead:     "Your browser did not show which device this is. The Gatepost agent on it can.",
		Check:    "Check this device",
		Hint:     "A small window opens and closes by itself.",
		Checking: "Asking the agent on this device…",
		Absent:   "No agent answered on this device",
		AbsentDo: "If your organisation manages this device, its agent may not be running: restart the device, or contact your administrator and give the reference number below. If this is not a device of your organisation, use one that is.",
		Again:    "Try again", Continue: "Continue without the check",
		Onward:   "Without the check this device does not count as managed, and Okta decides what you can use from it.",
		NoScript: "The check needs JavaScript, which is turned off in this browser.", Reference: "Reference number",
		DoneTitle: "This device was checked", Done: "Please close this window and go back to the one that you signed in from.",
	},
	German: {
		Tag: "de", Name: "Geräteprüfung", Title: "Dieses Gerät prüfen",
		Lead:     "Ihr Browser hat nicht gezeigt, welches Gerät dies ist. Der Gatepost-Agent auf dem Gerät kann das.",
		Check:    "Dieses Gerät prüfen",
		Hint:     "Ein kleines Fenster öffnet sich und schließt sich von selbst.",
		Checking: "Der Agent auf diesem Gerät wird gefragt …",
		Absent:   "Auf diesem Gerät hat kein Agent geantwortet",
		AbsentDo: "Wenn Ihre Organisation dieses Gerät verwaltet, läuft der Agent vielleicht nicht: Starten Sie das Gerät neu, oder wenden Sie sich mit der Referenznummer unten an Ihre Administratoren. Wenn dies kein Gerät Ihrer Organisation ist, verwenden Sie bitte eines.",
		Again:    "Noch einmal versuchen", Continue: "Ohne Prüfung fortfahren",
		Onward:   "Ohne Prüfung gilt dieses Gerät nicht als verwaltet, und Okta entscheidet, was Sie damit nutzen können.",
		NoScript: "Die Prüfung braucht JavaScript, das in diesem Browser ausgeschaltet ist.", Reference: "Referenznummer",
		DoneTitle: "Dieses Gerät wurde geprüft", Done: "Bitte schließen Sie dieses Fenster und kehren Sie zu dem zurück, in dem Sie sich anmelden.",
	},
	Spanish: {
		Tag: "es", Name: "Comprobación del dispositivo", Title: "Comprobar este dispositivo",
		Lead:     "Su navegador no ha mostrado qué dispositivo es este. El agente de Gatepost instalado en él puede hacerlo.",
		Check:    "Comprobar este dispositivo",
		Hint:     "Se abre una ventana pequeña que se cierra sola.",
		Checking: "Preguntando al agente de este dispositivo…",
		Absent:   "Ningún agente ha respondido en este dispositivo",
		AbsentDo: "Si su organización administra este dispositivo, puede que el agente no esté en marcha: reinicie el dispositivo o póngase en contacto con su administrador e indique el número de referencia de abajo. Si no es un dispositivo de su organización, use uno que lo sea.",
		Again:    "Intentar de nuevo", Continue: "Continuar sin la comprobación",
		Onward:   "Sin la comprobación, este dispositivo no cuenta como administrado y Okta decide qué puede usar con él.",
		NoScript: "La comprobación necesita JavaScript, que está desactivado en este navegador.", Reference: "Número de referencia",
		DoneTitle: "Se ha comprobado este dispositivo", Done: "Cierre esta ventana y vuelva a la ventana en la que inició sesión.",
	},
	French: {
		Tag: "fr", Name: "Vérification de l’appareil", Title: "Vérifier cet appareil",
		Lead:     "Votre navigateur n’a pas montré de quel appareil il s’agit. L’agent Gatepost qui s’y trouve peut le faire.",
		Check:    "Vérifier cet appareil",
		Hint:     "Une petite fenêtre s’ouvre et se ferme d’elle-même.",
		Checking: "L’agent de cet appareil est interrogé…",
		Absent:   "Aucun agent n’a répondu sur cet appareil",
		AbsentDo: "Si votre organisation gère cet appareil, l’agent ne fonctionne peut-être pas : redémarrez l’appareil, ou contactez votre administrateur en donnant le numéro de référence ci-dessous. Si ce n’est pas un appareil de votre organisation, utilisez-en un.",
		Again:    "Réessayer", Continue: "Continuer sans la vérification",
		Onward:   "Sans la vérification, cet appareil n’est pas considéré comme géré, et Okta décide de ce que vous pouvez utiliser.",
		NoScript: "La vérification nécessite JavaScript, qui est désactivé dans ce navigateur.", Reference: "Numéro de référence",
		DoneTitle: "Cet appareil a été vérifié", Done: "Fermez cette fenêtre et revenez à celle où vous vous connectez.",
	},
	Japanese: {
		Tag: "ja", Name: "デバイスの確認", Title: "このデバイスを確認する",
		Lead:     "ブラウザーは、これがどのデバイスであるかを示しませんでした。デバイス上の Gatepost エージェントが示すことができます。",
		Check:    "このデバイスを確認する",
		Hint:     "小さなウィンドウが開き、自動的に閉じます。",
		Checking: "このデバイスのエージェントに問い合わせています…",
		Absent:   "このデバイスではエージェントが応答しませんでした",
		AbsentDo: "組織がこのデバイスを管理している場合は、エージェントが動作していない可能性があります。デバイスを再起動するか、下の照会番号を添えて管理者に連絡してください。組織のデバイスでない場合は、組織のデバイスを使用してください。",
		Again:    "もう一度試す", Continue: "確認せずに進む",
		Onward:   "確認しない場合、このデバイスは管理対象とみなされず、このデバイスで使用できるものは Okta が判断します。",
		NoScript: "確認には JavaScript が必要ですが、このブラウザーでは無効になっています。", Reference: "照会番号",
		DoneTitle: "このデバイスは確認されました", Done: "このウィンドウを閉じて、サインインしたウィンドウに戻ってください。",
	},
}
