package codec
import ("testing";"fmt";"os")
func TestShowTmp(t *testing.T){ if os.Getenv("SHOW")=="" {return}; var m Message
 for _,f:=range seedFrames(t){ m.Decode(Frame(f)); fmt.Printf("%.900s\n", m.AppendJSON(nil,JSONOptions{})) } }
